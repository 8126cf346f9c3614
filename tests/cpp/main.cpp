// The main function of every C++ test executable; the tests are in <layer>/*_test.cpp.
// Run one case with `-tc="name"`, list them with `-ltc`.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
