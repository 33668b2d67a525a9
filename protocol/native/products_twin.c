/* The same for any processor, for tests. */
#define LANES_TWIN
#include "lanes_products.h"
