#include "lanes_products.h"
