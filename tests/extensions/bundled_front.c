/* A library that needs another one of its folder. */
extern long smarm_test_base_next(void);

static long own;

long smarm_test_front_next(void) { return 1000 * smarm_test_base_next() + ++own; }
