#include "CAsyncIOZlib.h"
