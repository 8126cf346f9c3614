/* A library as auditwheel puts it beside a package: it knows nothing of Python, and holds what it is given. */
static long count;
static void* kept;

long smarm_test_base_next(void) { return ++count; }

void* smarm_test_base_exchange(void* given) {
    void* before = kept;
    kept = given;
    return before;
}
