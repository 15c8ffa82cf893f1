#include "qloft/low.h"

#include "part.h"
