/* Texts in JSON, sixteen or more bytes at once where the processor can do that. */

#ifndef PI2POSTHOG_TEXT_H
#define PI2POSTHOG_TEXT_H

#include <float.h>
#include <stddef.h>
#include <stdint.h>
#if defined(__SSE2__) && defined(__GNUC__)
#include <emmintrin.h>
#define AT_ONCE 64
#endif

#define DOUBLES_ARE_ROUNDED_ONCE (FLT_EVAL_METHOD == 0)

typedef unsigned char byte;

/* Characters that stand for another one behind a backslash; pi never writes a slash so. */
static const byte ESCAPED[256] = {
    ['n'] = 1, ['"'] = 1, ['\\'] = 1, ['t'] = 1, ['r'] = 1, ['b'] = 1, ['f'] = 1,
};

/* The end of an escape as pi writes it: of a control character, by number where it has no letter. */
static inline const byte *escape_end(const byte *at, const byte *end) {
    int unit;
    if (end - at < 2)
        return NULL;
    if (ESCAPED[at[1]])
        return at + 2;
    if (end - at < 6 || at[1] != 'u' || at[2] != '0' || at[3] != '0' || (at[4] != '0' && at[4] != '1'))
        return NULL;
    if (at[5] >= '0' && at[5] <= '9')
        unit = 16 * (at[4] - '0') + at[5] - '0';
    else if (at[5] >= 'a' && at[5] <= 'f')
        unit = 16 * (at[4] - '0') + at[5] - 'a' + 10;
    else
        return NULL;
    return unit == '\b' || unit == '\t' || unit == '\n' || unit == '\f' || unit == '\r' ? NULL : at + 6;
}

#ifdef AT_ONCE
/* A bit for each of 64 bytes that is a quote, a backslash or a control character; *high: not all are ASCII. */
static inline uint64_t specials(const byte *at, int *high) {
    const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\'), control = _mm_set1_epi8(0x1f);
    __m128i all = _mm_setzero_si128();
    uint64_t found = 0;
    int i;
    for (i = 0; i < 4; i++) {
        const __m128i bytes = _mm_loadu_si128((const __m128i *)(at + 16 * i));
        const __m128i marks = _mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, slash));
        const __m128i controls = _mm_cmpeq_epi8(_mm_min_epu8(bytes, control), bytes);
        all = _mm_or_si128(all, bytes);
        found |= (uint64_t)(unsigned)_mm_movemask_epi8(_mm_or_si128(marks, controls)) << (16 * i);
    }
    *high |= _mm_movemask_epi8(all);
    return found;
}
#endif

/* The quote that ends a text whose first quote is before `at`; *high is set where it may not be ASCII. */
static const byte *text_end(const byte *at, const byte *end, int *high) {
#ifdef AT_ONCE
    while (end - at >= AT_ONCE) {
        uint64_t found = specials(at, high);
        const byte *next = at + AT_ONCE;
        while (found) {
            const byte *place = at + __builtin_ctzll(found);
            if (*place == '"')
                return place;
            if (*place != '\\' || !(next = escape_end(place, end)))
                return NULL;
            if (next - at >= AT_ONCE)
                break;
            found &= ~(uint64_t)0 << (next - at);
            next = at + AT_ONCE;
        }
        at = next;
    }
#endif
    while (at < end) {
        if (*at == '"')
            return at;
        if (*at == '\\') {
            if (!(at = escape_end(at, end)))
                return NULL;
        } else if (*at < 0x20) {
            return NULL;
        } else {
            *high |= *at++ & 0x80;
        }
    }
    return NULL;
}

/* The same where every byte stands for itself in ASCII. */
static inline const byte *plain_end(const byte *at, const byte *end) {
#ifdef AT_ONCE
    const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\'), least = _mm_set1_epi8(0x20);
    const __m128i deleted = _mm_set1_epi8(0x7f);
    for (; end - at >= 16; at += 16) {
        const __m128i bytes = _mm_loadu_si128((const __m128i *)at);
        const __m128i marks = _mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, slash));
        /* as signed numbers, bytes that are not ASCII are negative */
        const __m128i others = _mm_or_si128(_mm_cmplt_epi8(bytes, least), _mm_cmpeq_epi8(bytes, deleted));
        const unsigned found = (unsigned)_mm_movemask_epi8(_mm_or_si128(marks, others));
        if (found) {
            at += __builtin_ctz(found);
            return *at == '"' ? at : NULL;
        }
    }
#endif
    for (; at < end && *at >= 0x20 && *at < 0x7f && *at != '\\'; at++)
        if (*at == '"')
            return at;
    return NULL;
}

/* Whether bytes are UTF-8 as Python takes it: no surrogates, nothing longer than it needs to be. */
static int is_utf8(const byte *at, const byte *end) {
    while (at < end) {
        byte first, least = 0x80, most = 0xBF;
        int more;
#ifdef AT_ONCE
        while (end - at >= 16 && !_mm_movemask_epi8(_mm_loadu_si128((const __m128i *)at)))
            at += 16;
        if (at == end)
            break;
#endif
        first = *at++;
        if (first < 0x80)
            continue;
        if (first < 0xC2 || first > 0xF4)
            return 0;
        more = first < 0xE0 ? 1 : first < 0xF0 ? 2 : 3;
        if (first == 0xE0)
            least = 0xA0;
        else if (first == 0xED)
            most = 0x9F;
        else if (first == 0xF0)
            least = 0x90;
        else if (first == 0xF4)
            most = 0x8F;
        if (end - at < more || *at < least || *at > most)
            return 0;
        for (at++; more > 1; more--, at++)
            if (*at < 0x80 || *at > 0xBF)
                return 0;
    }
    return 1;
}

/* How many of some bytes are quotes or backslashes. */
static inline int marks_in(const byte *at, int size) {
    int count = 0;
#ifdef AT_ONCE
    const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\');
    __m128i sums = _mm_setzero_si128(); /* of each lane; 256 bytes make 16 at most */
    for (; size >= 16; size -= 16, at += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)at);
        sums = _mm_sub_epi8(sums, _mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, slash)));
    }
    sums = _mm_sad_epu8(sums, _mm_setzero_si128());
    count = _mm_cvtsi128_si32(sums) + _mm_cvtsi128_si32(_mm_srli_si128(sums, 8));
#endif
    for (; size > 0; size--, at++)
        count += *at == '"' || *at == '\\';
    return count;
}

#endif
