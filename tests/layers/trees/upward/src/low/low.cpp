#include "qloft/high.h"
