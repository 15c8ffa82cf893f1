#pragma once
// core: what any program needs, with no word of machine learning.

#include "qloft/core/aligned.h"   // AlignedVector
#include "qloft/core/checked.h"   // checked_multiply, checked_add, checked_cast, ceil_divide
#include "qloft/core/cpu.h"       // InstructionSet, chosen_instruction_set
#include "qloft/core/element.h"   // ElementType, BFloat16, Float16
#include "qloft/core/error.h"     // Error, InputError, SystemError
#include "qloft/core/file.h"      // AtomicFile, FileLock, read_file, write_file
#include "qloft/core/matrix.h"    // MatrixView, Matrix
#include "qloft/core/memory.h"    // peak_resident_bytes
#include "qloft/core/progress.h"  // Progress
#include "qloft/core/random.h"    // Random
#include "qloft/core/threads.h"   // parallel_for
