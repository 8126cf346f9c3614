/* One of two libraries that need each other, as freetype and harfbuzz do in pillow's wheels: OWN calls OTHER and back. */
extern long OTHER(long steps);

static long calls;

long OWN(long steps) {
    ++calls;
    return steps > 0 ? OTHER(steps - 1) + 1000 * calls : calls;
}
