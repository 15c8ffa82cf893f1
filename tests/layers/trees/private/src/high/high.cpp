#include "../low/part.h"
