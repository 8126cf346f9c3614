#include "smarm/base/safe_read.h"

#include <cstdint>
#include <cstring>

#include <doctest/doctest.h>
#include <sys/mman.h>

using namespace smarm;

TEST_CASE("what is there is copied") {
    const char text[] = "some bytes";
    char copy[sizeof text] = {};
    CHECK(safe_read(text, copy, sizeof text));
    CHECK(std::strcmp(copy, text) == 0);
    CHECK(safe_read(text, copy, 0));
}

TEST_CASE("what is gone, or was never there, is a false") {
    void* page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(page != MAP_FAILED);
    int number = 0;
    CHECK(safe_read(page, &number, sizeof number));
    munmap(page, 4096);
    CHECK(!safe_read(page, &number, sizeof number));
    CHECK(!safe_read(nullptr, &number, sizeof number));
    CHECK(!safe_read(reinterpret_cast<void*>(~std::uintptr_t{7}), &number, sizeof number));
}

TEST_CASE("what is there in part only is a false") {
    auto* pages = static_cast<char*>(mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    REQUIRE(pages != MAP_FAILED);
    munmap(pages + 4096, 4096);
    char bytes[16];
    CHECK(!safe_read(pages + 4096 - 8, bytes, sizeof bytes));
    munmap(pages, 4096);
}
