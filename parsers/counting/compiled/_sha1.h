/* SHA-1 (FIPS 180-4) of some hundred bytes: for so few, hashlib takes longer to begin than to hash. */

#ifndef PI2POSTHOG_SHA1_H
#define PI2POSTHOG_SHA1_H

#include <stdint.h>
#include <string.h>
#if defined(__x86_64__) && defined(__GNUC__)
#include <cpuid.h>
#include <immintrin.h>
#define HAS_SHA_INTRINSICS 1
#endif

static inline uint32_t rotated(uint32_t word, int bits) { return word << bits | word >> (32 - bits); }

static void sha1_in_c(uint32_t state[5], const unsigned char *data, size_t blocks) {
    for (; blocks; blocks--, data += 64) {
        uint32_t w[80], a = state[0], b = state[1], c = state[2], d = state[3], e = state[4], next;
        int i;
        for (i = 0; i < 16; i++)
            w[i] = (uint32_t)data[4 * i] << 24 | (uint32_t)data[4 * i + 1] << 16 |
                   (uint32_t)data[4 * i + 2] << 8 | data[4 * i + 3];
        for (; i < 80; i++)
            w[i] = rotated(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
#define ROUND(mixed, constant) \
    next = rotated(a, 5) + (mixed) + e + constant + w[i]; e = d; d = c; c = rotated(b, 30); b = a; a = next
        for (i = 0; i < 20; i++) { ROUND(d ^ (b & (c ^ d)), 0x5A827999u); }
        for (; i < 40; i++) { ROUND(b ^ c ^ d, 0x6ED9EBA1u); }
        for (; i < 60; i++) { ROUND((b & c) | (d & (b | c)), 0x8F1BBCDCu); }
        for (; i < 80; i++) { ROUND(b ^ c ^ d, 0xCA62C1D6u); }
#undef ROUND
        state[0] += a; state[1] += b; state[2] += c; state[3] += d; state[4] += e;
    }
}

#ifdef HAS_SHA_INTRINSICS
/* The same with the processor's own instructions for it. */
__attribute__((target("sha,sse4.1")))
static void sha1_by_processor(uint32_t state[5], const unsigned char *data, size_t blocks) {
    const __m128i order = _mm_set_epi64x(0x0001020304050607LL, 0x08090a0b0c0d0e0fLL);
    __m128i abcd = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)state), 0x1B);
    __m128i e = _mm_set_epi32((int)state[4], 0, 0, 0);
    for (; blocks; blocks--, data += 64) {
        const __m128i abcd_before = abcd, e_before = e;
        __m128i w[4], last;
        int i;
        for (i = 0; i < 4; i++)
            w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(data + 16 * i)), order);
#define WORDS(g) w[(g) & 3] = _mm_sha1msg2_epu32( \
    _mm_xor_si128(_mm_sha1msg1_epu32(w[(g) & 3], w[((g) + 1) & 3]), w[((g) + 2) & 3]), w[((g) + 3) & 3])
#define ROUNDS(g, kind) last = abcd; abcd = _mm_sha1rnds4_epu32(abcd, e, kind); e = last
#define FOUR(g, kind) WORDS(g); e = _mm_sha1nexte_epu32(e, w[(g) & 3]); ROUNDS(g, kind)
#define FIRST(g) e = _mm_sha1nexte_epu32(e, w[g]); ROUNDS(g, 0)
        e = _mm_add_epi32(e, w[0]); ROUNDS(0, 0);
        FIRST(1); FIRST(2); FIRST(3); FOUR(4, 0);
        FOUR(5, 1); FOUR(6, 1); FOUR(7, 1); FOUR(8, 1); FOUR(9, 1);
        FOUR(10, 2); FOUR(11, 2); FOUR(12, 2); FOUR(13, 2); FOUR(14, 2);
        FOUR(15, 3); FOUR(16, 3); FOUR(17, 3); FOUR(18, 3); FOUR(19, 3);
#undef WORDS
#undef ROUNDS
#undef FOUR
#undef FIRST
        e = _mm_sha1nexte_epu32(e, e_before);
        abcd = _mm_add_epi32(abcd, abcd_before);
    }
    _mm_storeu_si128((__m128i *)state, _mm_shuffle_epi32(abcd, 0x1B));
    state[4] = (uint32_t)_mm_extract_epi32(e, 3);
}

static int processor_has_sha(void) {
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & (1u << 9)) || !(c & (1u << 19)))
        return 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & (1u << 29));
}
#else
#define sha1_by_processor sha1_in_c
static int processor_has_sha(void) { return 0; }
#endif

/* The digest of `size` bytes; `by_processor` only where the processor can. */
static void sha1(const unsigned char *data, size_t size, unsigned char digest[20], int by_processor) {
    uint32_t state[5] = {0x67452301u, 0xEFCDAB89u, 0x98BADCFEu, 0x10325476u, 0xC3D2E1F0u};
    unsigned char last[128] = {0};
    size_t rest = size % 64, room = rest < 56 ? 64 : 128;
    uint64_t bits = (uint64_t)size * 8;
    int i;
    memcpy(last, data + size - rest, rest);
    last[rest] = 0x80;
    for (i = 0; i < 8; i++)
        last[room - 1 - i] = (unsigned char)(bits >> (8 * i));
    if (by_processor) {
        sha1_by_processor(state, data, size / 64);
        sha1_by_processor(state, last, room / 64);
    } else {
        sha1_in_c(state, data, size / 64);
        sha1_in_c(state, last, room / 64);
    }
    for (i = 0; i < 20; i++)
        digest[i] = (unsigned char)(state[i / 4] >> (24 - 8 * (i % 4)));
}

#endif
