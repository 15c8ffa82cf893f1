"""Writes the hostile files in this folder, each with the text that its error must contain.

    python3 tests/malformed/make.py

Needs the standard library alone. Every KIND/expected.txt is "CASE: TEXT" a line.
"""

import json
import pathlib
import shutil
import struct

HERE = pathlib.Path(__file__).parent


def safetensors(header, data=b"", length=None):
    body = header if isinstance(header, bytes) else json.dumps(header, separators=(",", ":")).encode()
    return struct.pack("<Q", len(body) if length is None else length) + body + data


def tensor(shape=(2,), begin=0, end=8, dtype="F32"):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


def write_kind(kind, cases):
    folder = HERE / kind
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    lines = []
    for name, (content, expected) in cases.items():
        lines.append(f"{name}: {expected}\n")
        target = folder / name
        if isinstance(content, bytes):
            target.write_bytes(content)
            continue
        target.mkdir()
        for file, part in content.items():
            (target / file).write_bytes(part if isinstance(part, bytes) else json.dumps(part, indent=1).encode() + b"\n")
    (folder / "expected.txt").write_text("".join(lines))


def raw_header(text, data=b"\0" * 8):
    return safetensors(text.encode(), data)


def json_cases():
    return {
        "empty.json": (b"", "line 1: expected"),
        "cut_object.json": (b'{"a": [1, 2', "line 1: expected ']'"),
        "cut_string.json": (b'{\n"a": "abc', "line 2: expected"),
        "comment.json": (b'{\n// no\n"a": 1}', "line 2: expected"),
        "trailing_comma.json": (b'{"a": 1,\n}', "line 2: expected string literal"),
        "two_values.json": (b"{}\n{}", "line 2: expected end of input"),
        "single_quotes.json": (b"{'a': 1}", "line 1: expected string literal"),
        "nan.json": (b'{"a":\nNaN}', "line 2: expected"),
        "huge_number.json": (b'{"a": 1e999}', "expected a number that fits 64 bits"),
        "bad_utf8.json": (b'{"a": "\xff\xfe"}', "ill-formed UTF-8"),
        "overlong_utf8.json": (b'{"a": "\xc0\xaf"}', "ill-formed UTF-8"),
        "lone_surrogate.json": (b'{"a": "\\ud800"}', "surrogate"),
        "control_character.json": (b'{"a": "\x01"}', "control character"),
        "bare_word.json": (b"hello", "line 1: expected"),
        "nul_bytes.json": (b"\0\0\0\0", "line 1: expected JSON, found a NUL byte"),
        "nul_after_value.json": (b"{}\n\0{}", "line 2: expected JSON, found a NUL byte"),
        "deep_arrays.json": (b"\n" + b"[" * 300, "line 2: expected at most 256 levels"),
        "deep_objects.json": (b'{"a":' * 300, "line 1: expected at most 256 levels"),
        "deep_behind_string.json": (b'["]]]]]\\"' + b'",' + b"[" * 300, "line 1: expected at most 256 levels"),
    }


def safetensors_cases():
    big = 2**62
    return {
        "empty": (b"", "header: expected at least 8 bytes, found 0"),
        "seven_bytes": (b"\2\0\0\0\0\0\0", "header: expected at least 8 bytes, found 7"),
        "length_only": (struct.pack("<Q", 0), "header: expected a JSON object"),
        "length_beyond_file": (safetensors({}, length=1000), "header: expected 1000 bytes, found 2"),
        "length_beyond_limit": (safetensors({}, length=100_000_001), "header: expected a length of at most 100000000"),
        "length_all_ones": (safetensors({}, length=2**64 - 1), "header: expected a length of at most"),
        "length_wraps": (safetensors({}, length=2**64 - 8), "header: expected a length of at most"),
        "length_negative": (safetensors({}, length=2**63), "header: expected a length of at most"),
        "header_not_json": (raw_header("{not json"), "expected string literal"),
        "header_array": (raw_header("[]"), "header: expected a JSON object"),
        "header_begins_with_space": (raw_header(" {}", b""), "header: expected a JSON object"),
        "header_cut": (raw_header('{"a":{"dtype":"F32"'), "line 1: expected '}'"),
        "header_bad_utf8": (safetensors(b'{"\xff":1}'), "ill-formed UTF-8"),
        "header_deep": (raw_header('{"a":' + "[" * 400), "levels of brackets"),
        "header_is_html": (b"<!DOCTYPE html><html></html>", "header: expected a length of at most"),
        "git_lfs_pointer": (b"version https://git-lfs.github.com/spec/v1\n", "header: expected a length of at most"),
        "entry_is_number": (safetensors({"a": 1}), "a: expected an object"),
        "entry_is_null": (safetensors({"a": None}), "a: expected an object"),
        "duplicate_name": (
            raw_header('{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'),
            "'a': expected each name once",
        ),
        "duplicate_field": (
            raw_header('{"a":{"dtype":"F32","dtype":"I32","shape":[2],"data_offsets":[0,8]}}'),
            "'dtype': expected each name once",
        ),
        "no_dtype": (safetensors({"a": {"shape": [2], "data_offsets": [0, 8]}}, bytes(8)), "a: expected a member dtype"),
        "no_shape": (safetensors({"a": {"dtype": "F32", "data_offsets": [0, 8]}}, bytes(8)), "a: expected a member shape"),
        "no_offsets": (safetensors({"a": {"dtype": "F32", "shape": [2]}}, bytes(8)), "a: expected a member data_offsets"),
        "unknown_dtype": (safetensors({"a": tensor(dtype="F8_E5M2")}, bytes(8)), "a: expected dtype to be one of"),
        "dtype_number": (safetensors({"a": tensor(dtype=32)}, bytes(8)), "a: expected dtype to be a string"),
        "shape_string": (safetensors({"a": {"dtype": "F32", "shape": "2", "data_offsets": [0, 8]}}, bytes(8)), "a: expected shape to be an array"),
        "shape_of_65_dimensions": (safetensors({"a": tensor(shape=[1] * 65, end=4)}, bytes(4)), "a: expected a shape of at most 64 dimensions, found 65"),
        "shape_negative": (safetensors({"a": tensor(shape=[-2])}, bytes(8)), "a: expected a shape of whole numbers"),
        "shape_fraction": (safetensors({"a": tensor(shape=[2.0])}, bytes(8)), "a: expected a shape of whole numbers"),
        "shape_above_int64": (safetensors({"a": tensor(shape=[2**63])}, bytes(8)), "a: the shape is too large"),
        "shape_overflows": (safetensors({"a": tensor(shape=[big, 4])}, bytes(8)), "a: the shape is too large"),
        "shape_wraps_to_eight": (safetensors({"a": tensor(shape=[2**61 + 2, 8])}, bytes(8)), "a: the shape is too large"),
        "shape_overflows_by_type": (safetensors({"a": tensor(shape=[big])}, bytes(8)), "a: the shape is too large"),
        "shape_overflows_then_zero": (safetensors({"a": tensor(shape=[big, big, 0], end=0)}), "a: the shape is too large"),
        "shape_times_type": (safetensors({"a": tensor(shape=[3])}, bytes(8)), "a: expected 12 bytes by dtype and shape, found 8"),
        "offsets_three": (safetensors({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8, 8]}}, bytes(8)), "a: expected data_offsets to be [begin, end]"),
        "offsets_negative": (safetensors({"a": tensor(begin=-8, end=0)}, bytes(8)), "a: expected data_offsets of whole numbers"),
        "offsets_backwards": (safetensors({"a": tensor(begin=8, end=0)}, bytes(8)), "a: expected data_offsets within"),
        "offsets_beyond_file": (safetensors({"a": tensor(shape=[4], end=16)}, bytes(8)), "a: expected data_offsets within the file's 8 data bytes"),
        "offsets_huge": (safetensors({"a": tensor(begin=2**64 - 8, end=2**64 - 1)}, bytes(8)), "a: expected data_offsets within"),
        "offsets_overlap": (safetensors({"a": tensor(), "b": tensor(begin=4, end=12)}, bytes(12)), "b: expected its data to begin at 8"),
        "offsets_same": (safetensors({"a": tensor(), "b": tensor()}, bytes(8)), "b: expected its data to begin at 8"),
        "offsets_gap": (safetensors({"a": tensor(), "b": tensor(begin=12, end=20)}, bytes(20)), "b: expected its data to begin at 8"),
        "offsets_gap_at_begin": (safetensors({"a": tensor(begin=4, end=12)}, bytes(12)), "a: expected its data to begin at 0"),
        "zero_size_in_the_middle": (safetensors({"a": tensor(), "b": tensor(shape=[0], begin=4, end=4)}, bytes(8)), "b: expected its data to begin at 8"),
        "data_left_over": (safetensors({"a": tensor()}, bytes(9)), "header: expected tensors that fill the file's 9 data bytes, found 8"),
        "data_without_tensors": (safetensors({}, bytes(4)), "header: expected tensors that fill"),
        "metadata_number": (safetensors({"__metadata__": {"format": 1}}), "__metadata__: expected a string for format"),
        "metadata_array": (safetensors({"__metadata__": []}), "__metadata__: expected an object of strings"),
    }


CONFIG = {"model_type": "llama"}
ONE = safetensors({"a": tensor()}, bytes(8))


def index(weight_map):
    return {"metadata": {"total_size": 8}, "weight_map": weight_map}


def checkpoint_cases():
    shard = "model-00001-of-00001.safetensors"
    return {
        "no_config": ({"model.safetensors": ONE}, "expected a model folder with a config.json"),
        "adapter_folder": ({"adapter_config.json": {}}, "expected a model, found an adapter"),
        "config_is_array": ({"config.json": [], "model.safetensors": ONE}, "config.json: expected an object, found array"),
        "config_not_json": ({"config.json": b"{", "model.safetensors": ONE}, "config.json: line 1: expected"),
        "no_weights": ({"config.json": CONFIG}, "expected model.safetensors or model.safetensors.index.json, found neither"),
        "bin_weights": ({"config.json": CONFIG, "pytorch_model.bin": b"x"}, ".bin files are not read"),
        "index_is_array": ({"config.json": CONFIG, "model.safetensors.index.json": []}, "weight_map: expected an object"),
        "index_without_map": ({"config.json": CONFIG, "model.safetensors.index.json": {}}, "weight_map: expected an object"),
        "index_map_of_numbers": ({"config.json": CONFIG, "model.safetensors.index.json": index({"a": 1})}, "weight_map.a: expected a file name"),
        "shard_missing": ({"config.json": CONFIG, "model.safetensors.index.json": index({"a": shard})}, "weight_map.a: expected the file " + shard),
        "shard_lacks_tensor": ({"config.json": CONFIG, "model.safetensors.index.json": index({"a": shard, "b": shard}), shard: ONE}, "b: expected this tensor"),
        "shard_above_folder": ({"config.json": CONFIG, "model.safetensors.index.json": index({"a": "../shard_lacks_tensor/" + shard})}, "weight_map.a: expected the name of a file in the same folder"),
        "shard_absolute": ({"config.json": CONFIG, "model.safetensors.index.json": index({"a": "/etc/passwd"})}, "weight_map.a: expected the name of a file in the same folder"),
        "shard_is_dots": ({"config.json": CONFIG, "model.safetensors.index.json": index({"a": ".."})}, "weight_map.a: expected the name of a file in the same folder"),
        "shard_truncated": ({"config.json": CONFIG, "model.safetensors.index.json": index({"a": shard}), shard: ONE[:-4]}, "a: expected data_offsets within"),
        "single_truncated": ({"config.json": CONFIG, "model.safetensors": ONE[:20]}, "header: expected"),
    }


def adapter_config(**changes):
    config = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 2, "lora_alpha": 4, "target_modules": ["q"]}
    config.update(changes)
    return config


def factors(a=(2, 4), b=(3, 2), name="base_model.model.q", dtype="F32", only=None, extra=None):
    entries, data = {}, b""
    wanted = {"lora_A": a, "lora_B": b}
    for key, shape in wanted.items():
        if only not in (None, key):
            continue
        count = 1
        for extent in shape:
            count *= extent
        size = count * {"F32": 4, "I32": 4}[dtype]
        entries[f"{name}.{key}.weight"] = tensor(shape, len(data), len(data) + size, dtype)
        data += bytes(size)
    if extra:
        entries[extra] = tensor((1,), len(data), len(data) + 4)
        data += bytes(4)
    return safetensors(entries, data)


def adapter_cases():
    def folder(weights=None, **changes):
        return {"adapter_config.json": adapter_config(**changes), "adapter_model.safetensors": weights or factors()}

    return {
        "no_config": ({"adapter_model.safetensors": factors()}, "expected an adapter folder with adapter_config.json"),
        "no_weights": ({"adapter_config.json": adapter_config()}, "expected adapter_model.safetensors, found none"),
        "bin_weights": ({"adapter_config.json": adapter_config(), "adapter_model.bin": b"x"}, ".bin files are not read"),
        "config_is_array": ({"adapter_config.json": [], "adapter_model.safetensors": factors()}, "expected an object, found an array"),
        "other_peft_type": (folder(peft_type="PREFIX_TUNING"), 'peft_type: expected "LORA", found "PREFIX_TUNING"'),
        "no_peft_type": (folder(peft_type=None), "peft_type: expected"),
        "other_task": (folder(task_type="SEQ_CLS"), "task_type: expected"),
        "no_rank": (folder(r=None), "r: expected a value, found none"),
        "rank_zero": (folder(r=0), "r: expected a whole number from 1 to 1048576, found 0"),
        "rank_negative": (folder(r=-1), "r: expected a whole number from 1 to 1048576, found -1"),
        "rank_fraction": (folder(r=2.5), "r: expected a whole number from 1"),
        "rank_huge": (folder(r=2**63), "r: expected a whole number from 1"),
        "rank_string": (folder(r="2"), "r: expected a whole number from 1"),
        "alpha_string": (folder(lora_alpha="4"), "lora_alpha: expected a number"),
        "alpha_huge": (folder(lora_alpha=1e300), "lora_alpha: expected a number that f32 holds"),
        "dropout_one": (folder(lora_dropout=1.0), "lora_dropout: expected a number from 0 to below 1"),
        "dropout_negative": (folder(lora_dropout=-0.5), "lora_dropout: expected a number from 0 to below 1"),
        "dora": (folder(use_dora=True), "use_dora: expected none"),
        "bias_all": (folder(bias="all"), "bias: expected"),
        "lora_bias": (folder(lora_bias=True), "lora_bias: expected none"),
        "modules_to_save": (folder(modules_to_save=["lm_head"]), "modules_to_save: expected none"),
        "layer_replication": (folder(layer_replication=[[0, 1]]), "layer_replication: expected none"),
        "trainable_tokens": (folder(trainable_token_indices=[1]), "trainable_token_indices: expected none"),
        "pissa": (folder(init_lora_weights="pissa_niter_4"), "init_lora_weights: expected"),
        "targets_number": (folder(target_modules=3), "target_modules: expected"),
        "targets_of_numbers": (folder(target_modules=[3]), "target_modules[0]: expected a string"),
        "rank_pattern_array": (folder(rank_pattern=[]), "rank_pattern: expected an object"),
        "rank_pattern_not_regex": (folder(rank_pattern={"q(": 2}), "rank_pattern.q(: expected a regular expression"),
        "rank_pattern_nested": (folder(rank_pattern={"(" * 2000 + ")" * 2000: 2}), "expected a regular expression"),
        "rank_pattern_endless": (folder(weights=factors(name="base_model.model." + "a" * 60), rank_pattern={"((a|b|aa)*)*[cd]": 2}), "needs too many steps"),
        "rank_pattern_string": (folder(rank_pattern={"q": "2"}), "rank_pattern.q: expected a whole number"),
        "rank_pattern_other_rank": (folder(rank_pattern={"q": 3}), "lora_A.weight: expected the shape [3, in]"),
        "alpha_pattern_huge": (folder(alpha_pattern={"q": -1e39}), "alpha_pattern.q: expected a number that f32 holds"),
        "alpha_pattern_string": (folder(alpha_pattern={"q": "2"}), "alpha_pattern.q: expected a number"),
        "empty_weights": (folder(weights=safetensors({})), "expected an adapter, found no tensors"),
        "half_a": (folder(weights=factors(only="lora_A")), "q.lora_B.weight: expected both factors"),
        "half_b": (folder(weights=factors(only="lora_B")), "q.lora_A.weight: expected both factors"),
        "a_other_rank": (folder(weights=factors(a=(3, 4))), "q.lora_A.weight: expected the shape [2, in]"),
        "b_other_rank": (folder(weights=factors(b=(3, 4))), "q.lora_B.weight: expected the shape [out, 2]"),
        "a_rank_one": (folder(weights=factors(a=(8,))), "q.lora_A.weight: expected the shape [2, in]"),
        "a_empty": (folder(weights=factors(a=(2, 0))), "q.lora_A.weight: it has no elements"),
        "integers": (folder(weights=factors(dtype="I32")), "expected elements of type F32, F16, BF16 or F8_E4M3, found I32"),
        "magnitude": (folder(weights=factors(extra="base_model.model.q.lora_magnitude_vector.weight")), "lora_magnitude_vector.weight: expected base_model.model"),
        "embedding": (folder(weights=factors(extra="base_model.model.embed.lora_embedding_A")), "lora_embedding_B: expected both factors"),
        "no_prefix": (folder(weights=factors(name="q")), "q.lora_A.weight: expected base_model.model"),
        "both_spellings": (folder(weights=factors(extra="base_model.model.q.lora_A.default.weight")), "this factor comes twice"),
    }


def quantization(version=1, fmt=None, entry=None, **changes):
    base = {"bits": 4, "codebook": "nf", "block": 64, "scale": "absmax", "scale_type": "f32"}
    base.update(fmt or {})
    config = {
        "quant_method": "qloft",
        "version": version,
        "formats": [{key: value for key, value in base.items() if value is not None}],
        "matrices": {"w.weight": {"format": 0, "shape": [4, 64], **(entry or {})}},
    }
    config.update(changes)
    return {key: value for key, value in config.items() if value is not None}


def quantized_cases():
    def form(**fields):
        return json.dumps(quantization(fmt=fields), indent=1).encode() + b"\n"

    def whole(**fields):
        return json.dumps(quantization(**fields), indent=1).encode() + b"\n"

    second = {"bits": 8, "block": 256, "type": "f32", "code": "dynamic"}
    at = "quantization_config"
    return {
        "array.json": (b"[]\n", f"{at}: expected an object, found an array"),
        "no_method.json": (whole(quant_method=None), f"{at}.quant_method: expected a value, found none"),
        "other_method.json": (whole(quant_method="gptq"), f"{at}.quant_method: expected qloft (or an unquantized model), found gptq"),
        "method_number.json": (whole(quant_method=1), f"{at}.quant_method: expected a string, found 1"),
        "no_version.json": (whole(version=None), f"{at}.version: expected a value, found none"),
        "version_zero.json": (whole(version=0), f"{at}.version: expected 1 to 1, found 0"),
        "version_newer.json": (whole(version=2), f"{at}.version: expected 1 to 1, found 2"),
        "version_string.json": (whole(version="1"), f"{at}.version: expected a whole number"),
        "version_huge.json": (whole(version=2**64 - 1), f"{at}.version: expected a whole number"),
        "no_formats.json": (whole(formats=None), f"{at}.formats: expected a value"),
        "formats_object.json": (whole(formats={}), f"{at}.formats: expected an array"),
        "format_number.json": (whole(formats=[1]), f"{at}.formats[0]: expected an object"),
        "no_bits.json": (form(bits=None), f"{at}.formats[0].bits: expected a value"),
        "bits_zero.json": (form(bits=0), f"{at}.formats[0]: bits: expected 2 to 8 for the code book nf, found 0"),
        "bits_nine.json": (form(bits=9), f"{at}.formats[0]: bits: expected 2 to 8"),
        "bits_negative.json": (form(bits=-4), f"{at}.formats[0].bits: expected a whole number"),
        "bits_fraction.json": (form(bits=3.5), f"{at}.formats[0].bits: expected a whole number"),
        "bits_wrap.json": (form(bits=2**32 + 4), f"{at}.formats[0].bits: expected a whole number"),
        "codebook_unknown.json": (form(codebook="magic"), f'{at}.formats[0].codebook: expected a known name, found "magic"'),
        "block_odd.json": (form(block=63), f"{at}.formats[0]: block: expected a multiple of 16"),
        "block_huge.json": (form(block=8192), f"{at}.formats[0]: block: expected"),
        "scale_unknown.json": (form(scale="max"), f"{at}.formats[0].scale: expected a known name"),
        "scale_type_integer.json": (form(scale_type="i32"), f"{at}.formats[0]: scale_type: expected f32, bf16 or f16"),
        "no_scale_type.json": (form(scale_type=None), f"{at}.formats[0].scale_type: expected a value"),
        "second_array.json": (form(second_level=[]), f"{at}.formats[0].second_level: expected an object"),
        "second_bits.json": (form(second_level={**second, "bits": 9}), f"{at}.formats[0]: second_level.bits: expected 8"),
        "second_block.json": (form(second_level={**second, "block": 0}), f"{at}.formats[0]: second_level.block: expected"),
        "second_code.json": (form(second_level={**second, "code": "x"}), f"{at}.formats[0].second_level.code: expected a known name"),
        "no_matrices.json": (whole(matrices=None), f"{at}.matrices: expected a value"),
        "matrices_array.json": (whole(matrices=[]), f"{at}.matrices: expected an object"),
        "matrix_number.json": (whole(matrices={"w.weight": 1}), f"{at}.matrices.w.weight: expected an object"),
        "format_out_of_range.json": (whole(entry={"format": 1}), f"{at}.matrices.w.weight.format: expected the place of one of 1 formats, found 1"),
        "format_negative.json": (whole(entry={"format": -1}), f"{at}.matrices.w.weight.format: expected a whole number"),
        "shape_one.json": (whole(entry={"shape": [64]}), f"{at}.matrices.w.weight.shape: expected [rows, columns]"),
        "shape_negative.json": (whole(entry={"shape": [-4, 64]}), f"{at}.matrices.w.weight.shape[0]: expected a whole number"),
        "shape_overflows.json": (whole(entry={"shape": [2**62, 2**62]}), f"{at}.matrices.w.weight.shape: "),
        "shape_overflows_bytes.json": (whole(entry={"shape": [2**40, 2**40]}), f"{at}.matrices.w.weight.shape: "),
    }


def main():
    write_kind("json", json_cases())
    write_kind("safetensors", safetensors_cases())
    write_kind("checkpoint", checkpoint_cases())
    write_kind("adapter", adapter_cases())
    write_kind("quantized", quantized_cases())


if __name__ == "__main__":
    main()
