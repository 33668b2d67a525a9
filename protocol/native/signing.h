/* The part of schnorrq.h that knows secrets. */
#ifndef REALTIME_SIGNING_H
#define REALTIME_SIGNING_H

/* Make the generator's table. schnorrq_begin calls it. */
void signing_begin(void);

#endif
