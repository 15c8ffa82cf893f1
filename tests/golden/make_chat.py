"""Golden renderings of chat templates, chat.json, and masks of what the assistant says, chat_masks.json.

    pip install transformers==5.23.0 jinja2==3.1.6
    python make_chat.py

Templates in the style of well-known model families over a set of conversations, and a table of
short templates, all rendered by transformers' own jinja2 environment. Where transformers fails, the
golden value is null: the reader must fail too. Masks are those of apply_chat_template by the small
tokenizers beside this script (make_tokenizers.py).
"""

import json
import pathlib

from transformers import PreTrainedTokenizerFast
from transformers.utils.chat_template_utils import _compile_jinja_template, render_jinja_template

TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}

TEMPLATES = {
    "chatml": """{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}""",
    "llama2": """{% if messages[0]['role'] == 'system' %}
    {% set rest = messages[1:] %}
    {% set system = '<<SYS>>\\n' ~ messages[0]['content'] ~ '\\n<</SYS>>\\n\\n' %}
{% else %}
    {% set rest = messages %}
    {% set system = '' %}
{% endif %}
{% for m in rest %}
    {% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{ raise_exception('roles must alternate') }}
    {% endif %}
    {% set content = system ~ m['content'] if loop.index0 == 0 else m['content'] %}
    {%- if m['role'] == 'user' %}
        {{- bos_token + '[INST] ' + content.strip() + ' [/INST]' }}
    {%- elif m['role'] == 'assistant' %}
        {{- ' ' + content | trim + ' ' + eos_token }}
    {%- endif %}
{% endfor %}""",
    "llama3": """{{- bos_token }}
{%- if not date_string is defined %}{%- set date_string = '26 Jul 2024' %}{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = '' %}
{%- endif %}
{{- '<|start_header_id|>system<|end_header_id|>\\n\\n' }}
{%- if tools is not none %}
    {{- 'Environment: ipython\\n' }}
    {{- "Today: " + date_string + "\\n\\n" }}
    {%- for t in tools %}
        {{- t | tojson(indent=4) }}
        {{- "\\n\\n" }}
    {%- endfor %}
{%- endif %}
{{- system_message }}
{{- '<|eot_id|>' }}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if not message.tool_calls|length == 1 %}
            {{- raise_exception("one tool call at once") }}
        {%- endif %}
        {%- set tool_call = message.tool_calls[0].function %}
        {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' -}}
        {{- '{"name": "' + tool_call.name + '", ' }}
        {{- '"parameters": ' }}
        {{- tool_call.arguments | tojson }}
        {{- "}" }}
        {{- "<|eot_id|>" }}
    {%- elif message.role == "tool" or message.role == "ipython" %}
        {{- "<|start_header_id|>ipython<|end_header_id|>\\n\\n" }}
        {%- if message.content is mapping or message.content is iterable %}
            {{- message.content | tojson }}
        {%- else %}
            {{- message.content }}
        {%- endif %}
        {{- "<|eot_id|>" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
""",
    "mistral": """{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}
{%- set ns = namespace(index=0) %}
{%- for message in loop_messages %}
    {%- if not (message.role == "tool" or (message.tool_calls is defined and message.tool_calls is not none)) %}
        {%- if (message["role"] == "user") != (ns.index % 2 == 0) %}
            {{- raise_exception("roles must alternate") }}
        {%- endif %}
        {%- set ns.index = ns.index + 1 %}
    {%- endif %}
{%- endfor %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if tools is not none and (message == user_messages[-1]) %}
            {{- "[AVAILABLE_TOOLS] [" }}
            {%- for tool in tools %}
                {%- set tool = tool.function %}
                {{- '{"type": "function", "function": {' }}
                {%- for key, val in tool.items() if key != "return" %}
                    {%- if val is string %}
                        {{- '"' + key + '": "' + val + '"' }}
                    {%- else %}
                        {{- '"' + key + '": ' + val|tojson }}
                    {%- endif %}
                    {%- if not loop.last %}{{- ", " }}{%- endif %}
                {%- endfor %}
                {{- "}}" }}
                {%- if not loop.last %}{{- ", " }}{%- else %}{{- "]" }}{%- endif %}
            {%- endfor %}
            {{- "[/AVAILABLE_TOOLS]" }}
        {%- endif %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message.tool_calls is defined and message.tool_calls is not none %}
        {{- "[TOOL_CALLS] [" }}
        {%- for tool_call in message.tool_calls %}
            {%- set out = tool_call.function|tojson %}
            {{- out[:-1] }}
            {{- ', "id": "' + tool_call.id + '"}' }}
            {%- if not loop.last %}{{- ", " }}{%- else %}{{- "]" + eos_token }}{%- endif %}
        {%- endfor %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"]|trim + eos_token}}
    {%- elif message["role"] == "tool" %}
        {{- '[TOOL_RESULTS] {"content": ' + message.content|string + "}[/TOOL_RESULTS]" }}
    {%- else %}
        {{- raise_exception("unknown role " + message["role"]) }}
    {%- endif %}
{%- endfor %}
""",
    "qwen3": """{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0].role == 'system' %}
        {{- messages[0].content + '\\n\\n' }}
    {%- endif %}
    {{- "# Tools\\n\\n<tools>" }}
    {%- for tool in tools %}
        {{- "\\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "\\n</tools>\\n\\n<tool_call>\\n{\\"name\\": <name>}\\n</tool_call><|im_end|>\\n" }}
{%- else %}
    {%- if messages[0].role == 'system' %}
        {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endif %}
{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user" and message.content is string and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.multi_step_tool = false %}
        {%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.content is string %}
        {%- set content = message.content %}
    {%- else %}
        {%- set content = '' %}
    {%- endif %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- set reasoning_content = '' %}
        {%- if message.reasoning_content is string %}
            {%- set reasoning_content = message.reasoning_content %}
        {%- else %}
            {%- if '</think>' in content %}
                {%- set reasoning_content = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
                {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
            {%- endif %}
        {%- endif %}
        {%- if loop.index0 > ns.last_query_index %}
            {%- if loop.last or (not loop.last and reasoning_content) %}
                {{- '<|im_start|>' + message.role + '\\n<think>\\n' + reasoning_content.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
            {%- else %}
                {{- '<|im_start|>' + message.role + '\\n' + content }}
            {%- endif %}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\\n' + content }}
        {%- endif %}
        {%- if message.tool_calls %}
            {%- for tool_call in message.tool_calls %}
                {%- if (loop.first and content) or (not loop.first) %}
                    {{- '\\n' }}
                {%- endif %}
                {%- if tool_call.function %}
                    {%- set tool_call = tool_call.function %}
                {%- endif %}
                {{- '<tool_call>\\n{"name": "' }}
                {{- tool_call.name }}
                {{- '", "arguments": ' }}
                {%- if tool_call.arguments is string %}
                    {{- tool_call.arguments }}
                {%- else %}
                    {{- tool_call.arguments | tojson }}
                {%- endif %}
                {{- '}\\n</tool_call>' }}
            {%- endfor %}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == "tool" %}
        {%- if loop.first or (messages[loop.index0 - 1].role != "tool") %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\\n<tool_response>\\n' }}
        {{- content }}
        {{- '\\n</tool_response>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}
            {{- '<|im_end|>\\n' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}""",
    "gemma": """{{ bos_token }}
{%- if messages[0]['role'] == 'system' -%}
    {%- set first_user_prefix = messages[0]['content'] + '\\n\\n' -%}
    {%- set loop_messages = messages[1:] -%}
{%- else -%}
    {%- set first_user_prefix = "" -%}
    {%- set loop_messages = messages -%}
{%- endif -%}
{%- for message in loop_messages -%}
    {%- if (message['role'] == 'assistant') -%}
        {%- set role = "model" -%}
    {%- else -%}
        {%- set role = message['role'] -%}
    {%- endif -%}
    {{ '<start_of_turn>' + role + '\\n' + (first_user_prefix if loop.first else "") }}
    {%- if message['content'] is string -%}
        {{ message['content'] | trim }}
    {%- elif message['content'] is iterable -%}
        {%- for item in message['content'] -%}
            {%- if item['type'] == 'text' -%}
                {{ item['text'] | trim }}
            {%- endif -%}
        {%- endfor -%}
    {%- else -%}
        {{ raise_exception("Invalid content type") }}
    {%- endif -%}
    {{ '<end_of_turn>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{ '<start_of_turn>model\\n' }}
{%- endif -%}
""",
    "phi3": """{% for message in messages %}{% if message['role'] == 'system' and message['content'] %}{{'<|system|>\\n' + message['content'] + '<|end|>\\n'}}{% elif message['role'] == 'user' %}{{'<|user|>\\n' + message['content'] + '<|end|>\\n'}}{% elif message['role'] == 'assistant' %}{{'<|assistant|>\\n'}}{% generation %}{{ (message['content'] or '') + '<|end|>\\n'}}{% endgeneration %}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% else %}{{ eos_token }}{% endif %}""",
    "zephyr": """{% for message in messages %}
{% if message['role'] == 'user' %}
{{ '<|user|>
' + message['content'] + eos_token }}
{% elif message['role'] == 'system' %}
{{ '<|system|>
' + message['content'] + eos_token }}
{% elif message['role'] == 'assistant' %}
{{ '<|assistant|>
'  + (message['content'] or '') + eos_token }}
{% endif %}
{% if loop.last and add_generation_prompt %}
{{ '<|assistant|>' }}
{% endif %}
{% endfor %}""",
    "deepseek": """{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}{% set ns = namespace(is_first=false, is_tool=false, is_output_first=true, system_prompt='') %}{%- for message in messages %}{%- if message['role'] == 'system' %}{% set ns.system_prompt = message['content'] %}{%- endif %}{%- endfor %}{{bos_token}}{{ns.system_prompt}}{%- for message in messages %}{%- if message['role'] == 'user' %}{%- set ns.is_tool = false -%}{{'<|User|>' + message['content']}}{%- endif %}{%- if message['role'] == 'assistant' and message['tool_calls'] %}{%- set ns.is_tool = true -%}{%- for tool in message['tool_calls']%}{%- if not ns.is_first %}{{'<|Assistant|><|calls|><|call|>' + tool['type'] + '<|sep|>' + tool['function']['name'] + '\\n' + '```json' + '\\n' + tool['function']['arguments']|tojson + '\\n' + '```' + '<|end|>'}}{%- set ns.is_first = true -%}{%- else %}{{'\\n' + '<|call|>' + tool['type'] + '<|sep|>' + tool['function']['name']}}{%- endif %}{%- endfor %}{%- endif %}{%- if message['role'] == 'assistant' and not message['tool_calls'] %}{%- if ns.is_tool %}{{'<|outputs_end|>' + message['content'] + eos_token}}{%- set ns.is_tool = false -%}{%- else %}{% set content = message['content'] or '' %}{% if '</think>' in content %}{% set content = content.split('</think>')[-1] %}{% endif %}{{'<|Assistant|>' + content + eos_token}}{%- endif %}{%- endif %}{%- if message['role'] == 'tool' %}{%- set ns.is_tool = true -%}{%- if ns.is_output_first %}{{'<|outputs|><|output|>' + message['content']|string + '<|output_end|>'}}{%- set ns.is_output_first = false %}{%- else %}{{'<|output|>' + message['content']|string + '<|output_end|>'}}{%- endif %}{%- endif %}{%- endfor -%}{% if ns.is_tool %}{{'<|outputs_end|>'}}{% endif %}{% if add_generation_prompt and not ns.is_tool %}{{'<|Assistant|>'}}{% endif %}""",
    "macros": """{# types as signatures, in the manner of command and hermes models #}
{%- macro type_of(spec) -%}
    {%- set kinds = {"string": "str", "number": "float", "integer": "int", "boolean": "bool"} -%}
    {%- if spec.type in kinds -%}{{ kinds[spec.type] }}
    {%- elif spec.type == "array" -%}list[{{ type_of(spec["items"]) }}]
    {%- elif spec.enum is defined -%}{{ spec.enum | map("tojson") | join(" | ") }}
    {%- else -%}dict[str, Any]
    {%- endif -%}
{%- endmacro -%}
{%- macro section(name, sep='\\n') -%}<{{ name }}>{{ sep }}{{ caller() }}{{ sep }}</{{ name }}>{%- endmacro -%}
{%- for tool in tools or [] -%}
    {%- call section('tool') -%}
        def {{ tool.function.name }}(
        {%- for name, spec in tool.function.parameters.properties.items() -%}
            {{ name }}: {{ type_of(spec) }}{{ "" if name in tool.function.parameters.required else " = None" }}{{ ", " if not loop.last }}
        {%- endfor -%}
        ): """ + '"""{{ tool.function.description | trim | upper }}"""' + """
    {%- endcall %}
{% endfor -%}
{%- for message in messages if message.role != 'tool' -%}
    {%- filter replace('assistant', 'bot') -%}
    [{{ loop.index }}/{{ loop.length }} {{ message.role }}{{ ' first' if loop.first }}{{ ' after ' ~ loop.previtem.role if not loop.first }}]
    {%- endfilter -%}
    {%- set body %} {{ message.content if message.content is string else '-' }} {% endset -%}
    {{ body }}
{% else -%}
    nothing
{% endfor -%}""",
    "generation": """{%- for message in messages %}
    {%- if message.role == 'assistant' %}
        {{- '<|assistant|>' }}
        {%- generation %}
        {{- message.content or '' }}{{ eos_token }}
        {%- endgeneration %}
    {%- else %}
        {{- '<|' ~ message.role ~ '|>' ~ message.content }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}""",
    "fields": """{% for m in messages %}{% for k, v in m.items() %}{{ k }}={{ v }};{% endfor %}{{ m.content is defined }}{{ m.tool_calls is defined }}{{ m.thinking }}|{{ m.reasoning_content }}
{% endfor %}""",
}

WEATHER = {"type": "function", "function": {
    "name": "weather", "description": " The weather at a <place> & time. ",
    "parameters": {"type": "object", "properties": {
        "place": {"type": "string", "description": "Where: \"city\", land"},
        "days": {"type": "array", "items": {"type": "integer"}},
        "unit": {"enum": ["°C", "°F"]}},
        "required": ["place"]}}}
CALL = {"type": "function", "id": "abc123456", "function": {
    "name": "weather", "arguments": {"place": "Zürich", "days": [1, 2], "warm": True, "x": None, "f": 1.5}}}

CONVERSATIONS = {
    "single": {"messages": [{"role": "user", "content": "Hello!"}]},
    "pair": {"messages": [{"role": "user", "content": "What is 2 + 2?"}, {"role": "assistant", "content": "4"}]},
    "system": {"messages": [{"role": "system", "content": " Be brief. "}, {"role": "user", "content": "Hi"},
                            {"role": "assistant", "content": "  Hello.\n"}]},
    "turns": {"messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "a\nb"},
                           {"role": "assistant", "content": "<think>\nhm\n</think>\n\nc"},
                           {"role": "user", "content": "d"}, {"role": "assistant", "content": "e"},
                           {"role": "user", "content": "f"}]},
    "unicode": {"messages": [{"role": "user", "content": "na\u00efve \u4f60\u597d \U0001f468\u200d\U0001f469\u200d\U0001f467 \u0645\u0631\u062d\u0628\u0627"},
                             {"role": "assistant", "content": "\u00a0caf\u00e9 \"quoted\" <b>\u2028</b>\u3000"}]},
    "empty": {"messages": [{"role": "system", "content": ""}, {"role": "user", "content": ""},
                           {"role": "assistant", "content": ""}, {"role": "user", "content": " "}]},
    "tools": {"tools": [WEATHER], "messages": [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "name": "weather", "content": "{\"t\": 20}"},
        {"role": "assistant", "content": "20 degrees.", "reasoning_content": "look"},
        {"role": "user", "content": "Thanks"}, {"role": "assistant", "content": "Welcome"}]},
    "nulls": {"messages": [
        {"role": "user", "content": "Hi", "name": None, "tool_calls": None},
        {"role": "assistant", "content": None, "tool_calls": None, "reasoning_content": None},
        {"role": "user", "content": "And?"}, {"role": "assistant", "content": "x", "tool_calls": None}]},
    "thinking": {"messages": [{"role": "user", "content": "q"},
                              {"role": "assistant", "thinking": "because", "content": "a"}]},
    "reasoning": {"messages": [{"role": "user", "content": "q"},
                               {"role": "assistant", "content": "a", "reasoning": "so", "thinking": None}]},
    "both": {"messages": [{"role": "user", "content": "q"},
                          {"role": "assistant", "thinking": "t", "content": "a", "reasoning_content": "r"}]},
    "wrong_order": {"messages": [{"role": "assistant", "content": "a"}, {"role": "assistant", "content": "b"}]},
    "parts": {"messages": [{"role": "user", "content": [{"type": "text", "text": " one "}, {"type": "image"},
                                                        {"type": "text", "text": "two"}]}]},
    "no_thinking": {"messages": [{"role": "user", "content": "q"}], "enable_thinking": False},
    "nothing": {"messages": []},
}

VARIABLES = {
    "s": "Hello, World", "u": "Stra\u00dfe \u4f60\u597d \u00c9t\u00e9", "e": "", "n": 7, "z": 0, "f": 2.5, "t": True, "nil": None,
    "l": [3, 1, 2], "w": ["b", "A", "c", "a"], "d": {"b": 1, "a": "x", "C": [1, 2]}, "nested": {"items": 5, "k": {"v": [10, 20]}},
    "people": [{"name": "Bo", "age": 3, "tag": {"x": 1}}, {"name": "al", "age": 1, "tag": {"x": 2}}, {"name": "Cy", "age": 2}],
    "lines": "one\ntwo\n\nthree\n", "html": "<a href=\"x\">'&'</a>",
}

EXPRESSIONS = """
1 + 2 * 3 - 4 ;; 7 // 2 ;; -7 // 2 ;; 7 % 3 ;; -7 % 3 ;; 7 % -3 ;; 7.5 // 2 ;; -7.5 % 2 ;; 2 ** 10 ;; 2 ** -1 ;; -2 ** 2 ;; 2 ** 3 ** 2 ;; 7 / 2 ;; 6 / 2 ;; 1e3 ;; 1_000 ;; 0x1F ;; 0b101 ;; 0o17
1.0 ;; 1e16 ;; 1e15 ;; 123456789.123 ;; 0.1 + 0.2 ;; 1e-5 ;; 0.0001 ;; 1.5e300 * 1e10 ;; -0.0 ;; 100000000000000000.0 ;; 5e-324 ;; 1/3 ;; 3.0 // 1 ;; 10 // 0.3
true + 1 ;; true == 1 ;; 1 == 1.0 ;; 'a' == 'a' ;; 'a' != 'b' ;; [1, 2] == [1, 2] ;; (1, 2) == [1, 2] ;; {'a': 1} == {'a': 1.0} ;; none == false ;; nil is none ;; 1 < 2 < 3 ;; 1 < 3 > 2 ;; 3 > 2 > 2 ;; 'a' < 'b' ;; [1, 2] < [1, 3] ;; 1 < 'a' ;; none < 1
not t ;; not e ;; t and n ;; z and n ;; z or 'x' ;; e or z ;; nil or e or 'last' ;; not z == 0 ;; not (z == 0 and t) ;; t and not e
'a' in 'abc' ;; 'd' not in 'abc' ;; 3 in l ;; 'b' in d ;; 5 in d ;; 'x' in undefined_thing ;; 1 in 'abc' ;; 1 in 5 ;; '' in 'abc' ;; 'A' in w ;; not 'a' in 'b'
s ~ n ~ f ~ t ~ nil ;; s + '!' ;; 'ab' * 3 ;; 3 * 'ab' ;; 'ab' * -1 ;; [1] * 3 ;; [1] + [2] ;; (1,) + (2,) ;; 'a' + 1 ;; 1 + 'a' ;; [1] + (2,) ;; 'a' 'b' "c" ;; 'a' ~ [1, 'b', none, true, 1.5]
s[0] ;; s[-1] ;; s[100] is defined ;; s[1:4] ;; s[:-1] ;; s[::-1] ;; s[::2] ;; s[-3:] ;; s[5:2] ;; s[5:2:-1] ;; u[4:7] ;; u[-2] ;; l[0] ;; l[-1] ;; l[5] is undefined ;; l[1:] ;; l[::-1] ;; l[:2] ;; l[10:] ;; (1, 2, 3)[1:] ;; l[::0] ;; u[::-1]
d.b ;; d['b'] ;; d.C[1] ;; d['C'][-1] ;; d.missing is defined ;; d['missing'] is undefined ;; d.missing ;; d.missing.deeper ;; nested.k.v[1] ;; nested['items'] ;; nested.items is callable ;; nested.k['v'].0 ;; undefined_thing ;; undefined_thing.x ;; undefined_thing['x'] ;; nil.x is defined ;; n.x is undefined ;; people.0.name ;; people[1].tag.x ;; people[2].tag is defined ;; s.foo is defined
d.items() ;; d.items() | list ;; d.keys() | list ;; d.values() | list ;; d.get('b') ;; d.get('zz') ;; d.get('zz', 5) ;; d | length ;; d | list ;; d.update({'q': 1}) ;; l.append(4) ;; l.append is defined ;; d.pop('b') ;; l.index(1) ;; l.count(3) ;; d.copy() ;; l.index(99)
d ;; l ;; w ;; (1,) ;; () ;; (1, 'a') ;; {} ;; [] ;; {'a': {'b': [1, (2,)]}, 1: none} ;; {true: 1, none: 2} ;; [[]] ;; ['it\\'s', "q\\"q", 'both\\'"'] ;; ['\\n\\t\\\\', '\\u00e9', '\\u200b', '\\x07'] ;; [u] ;; [1.0, 2.50, 1e20] ;; [undefined_thing]
s.upper() ;; s.lower() ;; s.title() ;; s.capitalize() ;; s.swapcase() ;; u.upper() ;; u.lower() ;; u.title() ;; u.capitalize() ;; 'they\\'re here'.title() ;; '  x '.strip() ;; '  x '.lstrip() ~ '.' ;; '  x '.rstrip() ~ '.' ;; 'xxaxx'.strip('x') ;; 'abcabc'.lstrip('ba') ;; 'abcabc'.rstrip('cb') ;; '\\u3000x\\u00a0'.strip() ;; '\\u4f60x'.strip('\\u4f60')
'a,b,,c'.split(',') ;; 'a b  c '.split() ;; ' a b  c '.split(' ') ;; 'a,b,c'.split(',', 1) ;; 'a,b,c'.rsplit(',', 1) ;; 'a b c'.split(none, 1) ;; ' a b  c '.rsplit(none, 1) ;; 'a b c'.split(maxsplit=1) ;; ''.split() ;; ''.split(',') ;; 'abc'.split('') ;; 'a--b--c'.split('--')[-1] ;; 'a\\u00a0b'.split() ;; 'a\\nb\\r\\nc\\n'.splitlines() ;; 'a\\nb'.splitlines(true) ;; 'a-b-c'.partition('-') ;; 'a-b-c'.rpartition('-') ;; 'abc'.partition('-') ;; 'abc'.rpartition('-')
s.startswith('He') ;; s.endswith('ld') ;; s.startswith(('x', 'H')) ;; s.endswith('x') ;; s.startswith('W', 7) ;; s.startswith('') ;; s.find('o') ;; s.rfind('o') ;; s.find('zz') ;; s.index('W') ;; s.index('zz') ;; s.count('l') ;; s.count('') ;; s.find('o', 5) ;; s.find('o', -3) ;; u.find('\\u00c9') ;; s.count('l', 3, 5)
s.replace('l', 'L') ;; s.replace('l', 'L', 1) ;; 'abc'.replace('', '-') ;; 'abc'.replace('', '-', 2) ;; s.replace('zz', '') ;; 'aaa'.replace('aa', 'b') ;; ','.join(w) ;; ''.join([]) ;; ','.join([1]) ;; ','.join('abc') ;; '-'.join(d)
'{} and {}'.format(1, 'a') ;; '{0}{1}{0}'.format('x', 'y') ;; '{a}-{b}'.format(a=1, b=s) ;; '{:>5}|{:<5}|{:^5}'.format('a', 'b', 'c') ;; '{:05d}'.format(42) ;; '{:.2f}'.format(3.14159) ;; '{:,}'.format(1234567) ;; '{:x} {:X} {:o} {:b}'.format(255, 255, 8, 5) ;; '{{}}'.format() ;; '{a.b}'.format(a=nested.k) ;; '{a[b]}'.format(a=d) ;; '{!r}'.format('x') ;; '{:*^9}'.format('mid') ;; '{:+d}'.format(5) ;; '{:e}'.format(12345.678) ;; '{:.1%}'.format(0.256) ;; '{}'.format() ;; '{:.3}'.format('abcdef') ;; '{:5}|{:5}'.format(1, 'a')
'%s is %d' % ('x', 5) ;; '%s' % 'a' ;; '%5.1f|%-5s|%05d' % (3.14159, 'ab', 42) ;; '%%' % () ;; '%x' % 255 ;; '%r' % 'a' ;; '%(b)s' % d ;; '%s %s' % ('a',) ;; '%d' % 'a' ;; '%s' % [1, 2] ;; '%+d' % 3 ;; '%d' % 3.9 ;; '%s' % none
'5'.isdigit() ;; ''.isdigit() ;; 'a5'.isalnum() ;; 'ab'.isalpha() ;; ' '.isspace() ;; 'AB'.isupper() ;; 'aB'.islower() ;; '42'.zfill(5) ;; '-42'.zfill(5) ;; 'a'.center(4) ~ '|' ;; 'a'.ljust(3, '.') ;; 'a'.rjust(3) ;; 'abc'.center(6, '*') ;; 'ab'.center(5, '*') ;; 'prefix-x'.removeprefix('prefix-') ;; 'x.txt'.removesuffix('.txt') ;; '\\u4f60'.isalpha()
s | upper ;; s | lower ;; u | upper ;; s | title ;; 'foo-bar (baz) it\\'s' | title ;; s | capitalize ;; s | length ;; u | length ;; u | count ;; d | length ;; e | length ;; l | length ;; s | reverse ;; l | reverse | list ;; undefined_thing | length ;; n | length
'  a b ' | trim ~ '|' ;; 'xxaxx' | trim('x') ;; s | replace('o', '0') ;; s | replace('o', '0', 1) ;; 5 | replace(5, 6) ;; html | escape ;; html | e ;; html | e | e ;; html | safe ;; html | safe | e ;; html | forceescape ;; ('<' ;; safe) + '<' ;; s | wordcount ;; u | wordcount ;; 'a-b c_d' | wordcount
undefined_thing | default('x') ;; e | default('x') ;; e | default('x', true) ;; nil | default('x') ;; undefined_thing | d('y') ;; undefined_thing | default ;; z | default(5, boolean=true) ;; d.missing | default('m')
l | first ;; l | last ;; [] | first is defined ;; [] | last is undefined ;; e | first ;; s | first ;; s | last ;; d | first ;; l | sort ;; w | sort ;; w | sort(case_sensitive=true) ;; l | sort(reverse=true) ;; people | sort(attribute='age') | map(attribute='name') | list ;; people | sort(attribute='name') | map(attribute='name') | join(',') ;; [1, 'a'] | sort ;; people | sort(attribute='age,name') | map(attribute='age') | list
l | join ;; l | join(', ') ;; people | join('/', attribute='name') ;; w | join(d=1) ;; l | sum ;; l | min ;; l | max ;; w | min ;; w | max ;; people | sum(attribute='age') ;; people | max(attribute='age') ;; l | sum(start=10) ;; [] | sum ;; [] | min is undefined ;; f | sum
[1, 1, 2, 'a', 'A'] | unique | list ;; w | map('upper') | list ;; people | map(attribute='name') | list ;; people | map(attribute='tag.x') | list ;; people | map(attribute='tag.x', default=0) | list ;; l | map('string') | join ;; w | map('replace', 'a', 'z') | list ;; l | map('float') | list ;; l | map | list
l | select('odd') | list ;; l | reject('odd') | list ;; l | select('gt', 1) | list ;; [0, 1, '', 'a', none] | select | list ;; [0, 1] | reject | list ;; people | selectattr('age', 'ge', 2) | map(attribute='name') | list ;; people | selectattr('tag') | list | length ;; people | rejectattr('tag', 'defined') | map(attribute='name') | list ;; people | selectattr('name', 'equalto', 'Bo') | list ;; people | selectattr('name', 'in', ['Bo', 'Cy']) | list | length ;; people | selectattr('age', '>', 5) | list ;; l | select('nosuchtest') | list
l | select('odd') is iterable ;; l | map('string') is sequence ;; ('t' if [] | select else 'f') ;; l | select('odd') | length ;; (l | map('string')) is string ;; [1, 2, 3, 4, 5] | batch(2) | list ;; [1, 2, 3] | batch(2, 'x') | list ;; [1, 2, 3, 4, 5] | slice(2) | list ;; [1, 2, 3] | slice(2, 'x') | list ;; people | groupby('age') | map('first') | list ;; people | groupby('age') | map(attribute=0) | list
d | dictsort ;; d | dictsort(true) ;; {'a': 2, 'b': 1} | dictsort(by='value') ;; {'a': 2, 'b': 1} | dictsort(reverse=true) ;; d | items | list ;; undefined_thing | items | list ;; n | items | list
'5' | int ;; '5.9' | int ;; 'x' | int ;; 'x' | int(9) ;; 5.9 | int ;; -5.9 | int ;; '0x1A' | int(base=16) ;; '101' | int(0, 2) ;; ' 12 ' | int ;; '1_000' | int ;; true | int ;; nil | int ;; l | int ;; '2.5' | float ;; 'x' | float ;; 3 | float ;; 'inf' | float ;; '1e3' | float ;; '' | int ;; '-7' | int
42.55 | round ;; 42.55 | round(1) ;; 2.5 | round ;; 3.5 | round ;; 42 | round ;; 42.1 | round(0, 'ceil') ;; 42.9 | round(method='floor') ;; 1234.5678 | round(2) ;; -2.567 | round(1) ;; 15 | round(-1) ;; 2.675 | round(2) ;; 'a' | round
-5 | abs ;; -2.5 | abs ;; f | abs ;; n | string ~ 'x' ;; nil | string ;; t | string ;; l | string ;; s | list ;; d | list ;; 'abc' | list ;; n | list ;; nil | list ;; undefined_thing | list
lines | indent ;; lines | indent(2) ;; lines | indent(2, true) ;; lines | indent(2, blank=true) ;; lines | indent('> ') ;; 'a' | indent ;; '%s-%s' | format('a', 1) ;; '%(x)s' | format(x=2) ;; 'a' | center(5) ;; 'a long sentence of words' | truncate(12) ;; 'a long sentence of words' | truncate(12, true) ;; 'short' | truncate(12) ;; 'a long sentence' | truncate(9, false, '!', 0)
d | tojson ;; l | tojson ;; s | tojson ;; html | tojson ;; u | tojson ;; u | tojson(ensure_ascii=true) ;; nil | tojson ;; t | tojson ;; 1.0 | tojson ;; 1e20 | tojson ;; (1, 2) | tojson ;; {} | tojson ;; [] | tojson ;; d | tojson(indent=2) ;; d | tojson(indent=0) ;; [] | tojson(indent=2) ;; {'a': []} | tojson(indent=2) ;; d | tojson(separators=(',', ':')) ;; d | tojson(sort_keys=true) ;; {1: 2, true: 3, none: 4} | tojson ;; '\\x01\\n\\u2028\\x7f\\U0001f600' | tojson ;; '\\U0001f600' | tojson(ensure_ascii=true) ;; undefined_thing | tojson ;; d | tojson(indent='\\t') ;; people | tojson(indent=4)
n is odd ;; n is even ;; n is divisibleby 7 ;; n is divisibleby(2) ;; n is number ;; f is float ;; n is integer ;; t is integer ;; t is boolean ;; t is true ;; z is false ;; nil is none ;; s is string ;; n is string ;; d is mapping ;; l is mapping ;; l is sequence ;; s is sequence ;; d is sequence ;; l is iterable ;; n is iterable ;; s is iterable ;; undefined_thing is iterable ;; n is eq 7 ;; n is ne 7 ;; n is gt 5 ;; n is lessthan 5 ;; n is ge(7) ;; n is in [7, 8] ;; n is not in [7] ;; 'abc' is lower ;; 'ABC' is upper ;; 'a1' is lower ;; '1' is upper ;; n is sameas n ;; t is sameas true ;; 1 is sameas true ;; range is callable ;; n is callable ;; 'upper' is filter ;; 'odd' is test ;; 'zz' is filter ;; n is defined and n is odd ;; n is not defined ;; undefined_thing is not defined ;; n is undefined or s is string ;; n is nosuchtest ;; html | safe is escaped ;; (1, 2) is sequence ;; t is number ;; undefined_thing is none
'yes' if t else 'no' ;; 'yes' if z else 'no' ;; 'yes' if z ;; ('yes' if z) is undefined ;; 'a' if z else 'b' if e else 'c' ;; ('a' if t else 'b') ~ 'c' ;; 1 if t else 1 / 0
range(5) | list ;; range(2, 5) | list ;; range(5, 0, -2) | list ;; range(0) | list ;; range(3) | join ;; range(1000000) | length ;; range(3) | length ;; range(3)[1] ;; range(5)[1:3] | list ;; range(1, 2, 0) ;; range(3) | last
dict(a=1, b=2) ;; dict({'x': 1}, y=2) ;; dict([('a', 1)]) ;; namespace(a=1).a ;; namespace({'a': 1}).a ;; namespace(a=1).b is defined ;; namespace(_a=1) ;; raise_exception('no') ;; nosuchfunction() ;; s() ;; s.nosuch() ;; s ;; nosuchfilter ;; s | upper(1) ;; s | replace ;; 'x'.upper('y') ;; l | join(attribute='zz', nope=1)
(1, 2) | first ;; 1, 2, 3 ;; (l) ;; [l[0], l[1],] ;; {'a': 1,}.a ;; {'a': 1}['a'] ;; {s: n}[s] ;; {[1]: 2} ;; {'a': 1, 'a': 2} ;; s | upper | lower | length ;; (s | upper).lower() ;; s.upper() | lower ;; -n | abs ;; -(n) ;; +n ;; - 5 + 3 ;; n -1 ;; n-1 ;; 'a' ~ 1 + 2 ;; 1 ~ 2 * 3 ;; not n is odd ;; 5 is odd ;; -5 | abs ;; -f ;; +s ;; -s ;; 'a' in 'abc' and 'b' in 'abc' ;; 'a' ~ 'b' in 'abc' ;; 1 + 1 == 2 ;; n is odd and f > 2 ;; s | length > 5 ;; (s | length) * 2 ;; l | length + 1 ;; s | length is divisibleby 4 ;; 'a' if 'x' in s else 'b' if 'W' in s else 'c'
s.split(', ')[1].lower() ;; s.split(', ')[0][::-1] ;; people[0]['name'].upper() ;; (d.items() | list)[0][1] ;; (d | dictsort)[0] ;; [1, 2, 3][-1:][0] ;; 'abc'[1:][0] ;; "a\\tb" ;; 'a\\qb' ;; '\\101' ;; 'a\\'b' ;; "\\u0041\\x42" ;; '\\\\n' ;; 'x' * 0 ;; s.__class__ ;; s.__class__ is defined ;; d.__len__ is defined ;; s['__class__'] is defined ;; d['items'] is callable ;; nil.x ;; l.sort is defined ;; d | attr('items') is callable ;; d | attr('b') is defined
9223372036854775807 ;; -9223372036854775807 ;; 4611686018427387904 + 1 ;; 3037000499 * 3037000499 ;; 0 ** 0 ;; 0.0 ** -1 ;; 1 / 0 ;; 1 // 0 ;; 1 % 0 ;; 1.0 / 0 ;; 2 ** 0.5 ;; 7 // -2 ;; -7 // -2 ;; 5.5 % -2 ;; true and 'x' ;; [] or {} ;; [] and 1 ;; (none,) ;; none ;; true ;; false ;; True ;; None ;; '' ;; ' ' ;; [none, true] ;; 1 == true ;; 'a' == 1 ;; none is none ;; none == none ;; undefined_thing == undefined_thing2 ;; undefined_thing == none ;; undefined_thing + 1 ;; undefined_thing ~ 'x' ;; undefined_thing < 1 ;; not undefined_thing ;; undefined_thing or 'x' ;; -undefined_thing ;; undefined_thing() ;; undefined_thing | upper ;; undefined_thing | join ;; undefined_thing | int ;; undefined_thing | string
"""

STATEMENTS = [
    # whitespace control
    "a\n  {% if t %}\n  b\n  {% endif %}\nc", "a\n  {%- if t %}\n  b\n  {%- endif %}\nc", "a\n  {%+ if t %}\n  b\n  {%+ endif %}\nc",
    "a {% if t -%}  \n b {% endif %} c", "a\n{{ n }}\nb\n", "a\n  {{- n -}}  \nb\n\n", "a {# comment #} b", "a\n  {# comment #}\nb",
    "a\n  {#- comment -#}\n b", "a\n {#+ comment +#}\n b", "{% if t %}x{% endif +%}\ny", "{% if t %}\n\nx{% endif %}\n\ny\n", "x\n", "x\n\n", "\n", "", "a\r\nb\rc\n",
    "{% raw %}{{ n }} {% if %}{% endraw %}", "a\n  {%- raw -%}\n  {{ x }}\n  {%- endraw -%}\n b", "{% raw %}\nx\n{% endraw %}\ny", "  {% raw %} x {% endraw %}  \n",
    "a{{ '}}' }}b{{ '%}' }}c", "{{ {'a': {'b': 1}}.a.b }}", "{{ {'a': 1} }}}", "{ { n } }", "{{n}}{{-n-}} {{ n }}", "a{%if t%}b{%endif%}c", "\t{% if t %}\tx\t{% endif %}\t\n",
    "line1\n    {% for i in l %}\n    {{ i }}\n    {% endfor %}\nend", "x {% if t %}\ny", "{% if t %}\n  {% if n %}\n    deep\n  {% endif %}\n{% endif %}\n",
    "{{ '{{' }}{{ \"#}\" }}{# {{ #}", "a\u00a0\n\u2003{%- if t %}b{% endif %}", "{% set x = 1 %}\n{% set y = 2 %}\n{{ x + y }}",
    # for
    "{% for x in l %}{{ x }}{% if not loop.last %}, {% endif %}{% endfor %}", "{% for x in [] %}a{% else %}none{% endfor %}", "{% for x in l %}a{% else %}none{% endfor %}",
    "{% for x in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }};{% endfor %}",
    "{% for x in l %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }};{% endfor %}", "{% for x in l %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }}{% endfor %}",
    "{% for x in l if x > 1 %}{{ loop.index }}:{{ x }} of {{ loop.length }};{% else %}none{% endfor %}", "{% for x in l if x > 9 %}{{ x }}{% else %}none{% endfor %}",
    "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}", "{% for k in d %}{{ k }}{% endfor %}", "{% for k, v in d %}{{ k }}{% endfor %}", "{% for (a, b), c in [((1, 2), 3)] %}{{ a }}{{ b }}{{ c }}{% endfor %}",
    "{% for a, b in [(1, 2, 3)] %}{{ a }}{% endfor %}", "{% for c in u %}[{{ c }}]{% endfor %}", "{% for x in undefined_thing %}a{% else %}b{% endfor %}", "{% for x in n %}a{% endfor %}", "{% for x in nil %}a{% endfor %}",
    "{% for x in range(10) %}{% if x == 2 %}{% continue %}{% endif %}{% if x == 5 %}{% break %}{% endif %}{{ x }}{% endfor %}", "{% for x in l %}{% for y in l %}{% if y == 1 %}{% break %}{% endif %}{{ x }}{{ y }} {% endfor %}{{ loop.index }};{% endfor %}",
    "{% for x in l %}{{ loop.cycle('a', 'b') }}{% endfor %}", "{% for x in 1, 2, 3 %}{{ x }}{% endfor %}", "{% for x in l | sort %}{{ x }}{% endfor %}", "{% for x in (l if t else []) %}{{ x }}{% endfor %}",
    "{% for x in l %}{% set y = x %}{% endfor %}{{ y is defined }}", "{% set y = 0 %}{% for x in l %}{% set y = y + x %}{{ y }} {% endfor %}{{ y }}", "{% set x = 'o' %}{% for x in l %}{{ x }}{% endfor %}{{ x }}",
    "{% for x in l %}{{ loop.depth }}{% for y in 'ab' %}{{ loop.depth0 }}{% endfor %}{% endfor %}", "{% for x in [[1, [2]], [3]] recursive %}{{ loop(x) if x is iterable else x }}-{% endfor %}",
    "{% for x in l %}{{ loop.nosuch is defined }}{% endfor %}", "{{ loop is defined }}", "{% for p in people %}{{ p.name }}{{ ',' if not loop.last else '.' }}{% endfor %}", "{% for x in l %}{% if loop.first %}F{% elif loop.last %}L{% else %}M{% endif %}{% endfor %}",
    "{% for x in d.items() | list %}{{ x[0] }}{{ x.1 }}{% endfor %}", "{% for i in range(3) %}{{ l[i] }}{% endfor %}", "{% for i in range(l | length - 1, -1, -1) %}{{ l[i] }}{% endfor %}", "{% for x in l[::-1] %}{{ x }}{% endfor %}", "{% for x in l | reverse %}{{ x }}{% endfor %}",
    # set, namespace, scopes
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}", "{% set a = b = 1 %}", "{% set a %}x{{ n }}y{% endset %}[{{ a }}]", "{% set a | upper %}x{{ s }}{% endset %}{{ a }}", "{% set a | replace('x', 'y') | upper %}xa{% endset %}{{ a }}",
    "{% set ns = namespace(c=0) %}{% for x in l %}{% set ns.c = ns.c + x %}{% endfor %}{{ ns.c }}", "{% set ns = namespace() %}{% set ns.a = [1] %}{% set ns.a = ns.a + [2] %}{{ ns.a }}", "{% set s.x = 1 %}", "{% set ns = namespace(a=1) %}{{ ns['a'] }}{{ ns.b }}", "{% set ns = namespace() %}{% set ns._x = 1 %}",
    "{% if t %}{% set q = 1 %}{% endif %}{{ q }}", "{% if z %}{% set q = 1 %}{% endif %}{{ q is defined }}", "{% set t = 5 %}{{ t }}", "{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}{{ a is defined }}", "{% with %}{% set a = 1 %}{{ a }}{% endwith %}{{ a is defined }}", "{% set a = 1 %}{% with a = 2, b = a %}{{ a }}{{ b }}{% endwith %}",
    "{% set x = 1, %}{{ x }}", "{% set x = [] %}{% set x = x + [1] %}{{ x }}", "{% set ns = namespace(found=false) %}{% for x in l %}{% if x == 1 %}{% set ns.found = true %}{% endif %}{% endfor %}{{ ns.found }}", "{% set message = people[0] %}{{ message.name }}",
    "{% set ns, b = namespace(v=1), 2 %}{% set ns.v, c = 5, 6 %}{{ ns.v }}{{ c }}",
    # if
    "{% if z %}a{% elif n %}b{% else %}c{% endif %}", "{% if z %}a{% elif e %}b{% elif nil %}d{% else %}c{% endif %}", "{% if n > 5 and f < 3 %}y{% endif %}", "{% if not undefined_thing %}y{% endif %}", "{% if undefined_thing.x %}y{% endif %}", "{% if s is string and s | length > 3 %}y{% endif %}", "{% if (n, z) %}y{% endif %}", "{% if [] %}a{% else %}b{% endif %}", "{% if '' or 0 or none or {} or () %}a{% else %}b{% endif %}",
    # macros, calls, filters
    "{% macro m(a, b=2) %}{{ a }}-{{ b }};{% endmacro %}{{ m(1) }}{{ m(1, 3) }}{{ m(b=5, a=4) }}", "{% macro m(a) %}[{{ a }}]{% endmacro %}{{ m() }}{{ m(1) | upper }}", "{% macro m(a) %}x{% endmacro %}{{ m(1, 2) }}", "{% macro m(a) %}x{% endmacro %}{{ m(q=2) }}", "{% macro m(a) %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, 3, k=4) }}",
    "{% macro f(n) %}{% if n > 0 %}{{ n }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(4) }}", "{% macro m() %}{{ s }}{{ later }}{% endmacro %}{% set later = 'L' %}{{ m() }}", "{% macro m() %}{% set inner = 1 %}{% endmacro %}{{ m() }}{{ inner is defined }}", "{% macro m() %}<{{ caller() }}>{% endmacro %}{% call m() %}in{{ n }}{% endcall %}",
    "{% macro m(l) %}{% for x in l %}{{ caller(x) }}{% endfor %}{% endmacro %}{% call(y) m(l) %}({{ y }}){% endcall %}", "{% macro m() %}{{ caller is defined }}{% endmacro %}{{ m() }}", "{% macro m() %}x{% endmacro %}{% call m() %}y{% endcall %}", "{% macro m(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}", "{% filter upper %}a{{ s }}{% endfilter %}", "{% filter replace('a', 'b') | upper %}aXa{% endfilter %}", "{% for x in l %}{% macro q() %}{{ x }}{% endmacro %}{{ q() }}{% endfor %}", "{% macro m(x) %}{{ x }}{% endmacro %}{{ l | map('string') | map('upper') | join }}{{ m(*[1]) }}{{ m(**{'x': 2}) }}",
    "{% macro m(a, b) %}{{ a }}{{ b }}{% endmacro %}{{ m(*(1, 2)) }}", "{% macro m() %}  x  {% endmacro %}[{{ m() | trim }}]{{ m is callable }}", "{% print n %}", "{% print n, s %}", "{% block x %}{{ n }}{% endblock %}", "{% autoescape false %}{{ html }}{% endautoescape %}",
    "{% macro m(a='\"') -%} {{ a }} {%- endmacro %}{{ m() }}{{ m('z') }}",
    # generation
    "{% for p in people %}{{ p.name }}:{% generation %}{{ p.age }}!{% endgeneration %};{% endfor %}", "{% generation %}{% set q = 1 %}{{ q }}{% endgeneration %}{{ q is defined }}",
    # errors
    "{% if %}", "{% if t %}", "{% for x in %}{% endfor %}", "{% for x l %}{% endfor %}", "{{ }}", "{{ n", "{% nosuch %}", "{{ n n }}", "{{ 'a }}", "{{ (1 }}", "{{ 1) }}", "{{ [1) }}", "{% endif %}", "{% else %}", "{# x", "{% raw %}x", "{{ n | }}", "{{ n is }}", "{{ a.b. }}", "{{ @ }}", "{{ a ! b }}", "{% set %}", "{% set 1 = 2 %}", "{% macro %}{% endmacro %}", "{% break %}", "{% continue %}", "{{ f(a=1, 2) }}", "{{ 1 if }}", "{% for true in l %}{% endfor %}", "{% call n %}{% endcall %}", "{% set a = %}", "{{ 1 is odd is even }}", "{{ n.5x }}", "{% if t %}{% else %}{% else %}{% endif %}", "{% macro m(a=1, b) %}{% endmacro %}", "{{ raise_exception('stop') }}", "{% for x in l %}{{ x.y.z }}{% endfor %}", "{{ '\\N' }}", "{{ '\\u12' }}", "{% include 'x' %}", "{% extends 'x' %}", "{% do x %}",
]


def try_render(source, **variables):
    """[text, generated spans in bytes], or None where it fails."""
    try:
        marked = "generation" in source
        if not marked and "messages" not in variables:
            return [_compile_jinja_template(source).render(**TOKENS, **variables), []]
        # apply_chat_template drops null fields before it renders.
        messages = [{k: v for k, v in message.items() if v is not None} for message in variables.pop("messages", [])]
        tools = variables.pop("tools", None)
        if not marked:
            return [render_jinja_template([messages], tools=tools, chat_template=source, **TOKENS, **variables)[0][0], []]
        rendered, spans = render_jinja_template([messages], tools=tools, chat_template=source,
                                                return_assistant_tokens_mask=True, **TOKENS, **variables)
        text = rendered[0]
        bytes_before = lambda index: len(text[:index].encode())
        return [text, [[bytes_before(a), bytes_before(b)] for a, b in spans[0]]]
    except Exception:
        return None


# With a block that ends within a line, blocks that hold tool calls, and one that begins and ends within tokens.
MASKED = {
    "phi3": TEMPLATES["phi3"],
    "generation": TEMPLATES["generation"],
    "chatml": """{%- for m in messages %}
    {{- '<|im_start|>' + m.role + '\\n' }}
    {%- if m.role == 'assistant' %}
        {%- generation %}
            {{- m.content or '' }}
            {%- for call in m.tool_calls or [] %}{{- '<tool_call>' + (call.function | tojson) + '</tool_call>' }}{% endfor %}
            {{- '<|im_end|>' }}
        {%- endgeneration %}
        {{- '\\n' }}
    {%- else %}
        {{- m.content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}""",
    "within": """{% for m in messages %}{% if m.role == 'assistant' %}A:{% generation %} {{ m.content | default('') | trim }}{% endgeneration %}ing
{% else %}Q: {{ m.content }}
{% endif %}{% endfor %}""",
}


def without_nulls(value):
    """As TRL prepares its rows."""
    if isinstance(value, dict):
        return {k: without_nulls(v) for k, v in value.items() if v is not None}
    return [without_nulls(v) for v in value] if isinstance(value, list) else value


def masks():
    """[tokenizer, template, conversation, ids, mask] of each that renders. No answer ends within a
    character of several tokens: of those transformers marks the first alone."""
    rows = []
    for kind in ("qwen2", "llama3", "gpt2"):
        file = pathlib.Path(__file__).parent / "tokenizers" / kind / "tokenizer.json"
        tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(file))
        for name, source in MASKED.items():
            for which in ("pair", "system", "turns", "unicode", "tools", "nulls"):
                conversation = without_nulls(CONVERSATIONS[which])
                out = tokenizer.apply_chat_template(
                    conversation["messages"], tools=conversation.get("tools"), chat_template=source,
                    return_dict=True, return_assistant_tokens_mask=True, **TOKENS)
                rows.append([kind, name, which, out["input_ids"], out["assistant_masks"]])
    return rows


def write_masks():
    rows = masks()
    text = ['"templates": ' + json.dumps(MASKED), '"rows": [\n%s\n]' % ",\n".join(map(json.dumps, rows))]
    (pathlib.Path(__file__).parent / "chat_masks.json").write_text("{\n" + ",\n".join(text) + "\n}\n")
    print(len(rows), "masks")


def main():
    write_masks()
    chats = []
    for template, source in TEMPLATES.items():
        for name, conversation in CONVERSATIONS.items():
            for prompt in (False, True):
                variables = {"tools": None, "documents": None, **conversation, "add_generation_prompt": prompt}
                chats.append([template, name, prompt, try_render(source, **variables)])
    snippets = [snippet for line in EXPRESSIONS.strip().splitlines() for snippet in line.split(" ;; ")]
    sources = ["{{ " + snippet + " }}" for snippet in snippets] + STATEMENTS
    # What CPython prints with an address, or a generator as such, says nothing.
    table = []
    for source in dict.fromkeys(sources):
        result = try_render(source, **VARIABLES)
        if result is not None and (" at 0x" in result[0] or "built-in" in result[0]):
            continue
        table.append([source, result])
    golden = {"tokens": TOKENS, "templates": TEMPLATES, "conversations": CONVERSATIONS, "chats": chats,
              "variables": VARIABLES, "table": table}
    path = pathlib.Path(__file__).parent / "chat.json"
    lines = ['"%s": %s' % (key, json.dumps(golden[key], ensure_ascii=True)) for key in
             ("tokens", "templates", "conversations", "variables")]
    for key in ("chats", "table"):
        rows = ",\n".join(json.dumps(row, ensure_ascii=True) for row in golden[key])
        lines.append('"%s": [\n%s\n]' % (key, rows))
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    failed = sum(row[-1] is None for row in chats)
    print(len(chats), "chats,", failed, "fail;", len(table), "snippets,",
          sum(row[1] is None for row in table), "fail")


if __name__ == "__main__":
    main()
