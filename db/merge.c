#include "db/internal.h"
