/* Archives of arrays. The mutator repairs the CRC-32 of stored entries in local headers and directory. */
#include "fuzz.h"

#include <zlib.h>

#include "formats/npz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  pc_bundle *b;
  if (pc_npz_parse(&b, data, size, "input.npz") < 0) {
    pc_fuzz_expect(*pc_error_text());
    return 0;
  }
  for (int64_t i = 0; i < pc_bundle_count(b); i++) {
    pc_fuzz_expect(*pc_bundle_name(b, i) || !*pc_bundle_name(b, i));
    pc_fuzz_expect(pc_bundle_tensor(b, i) != NULL);
  }
  pc_bundle_free(b);
  return 0;
}

static uint32_t le32(const uint8_t *p) {
  return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}
static uint32_t le16(const uint8_t *p) { return (uint32_t)p[1] << 8 | p[0]; }
static void put32(uint8_t *p, uint32_t v) {
  for (int k = 0; k < 4; k++) p[k] = (uint8_t)(v >> 8 * k);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
  size = LLVMFuzzerMutate(data, size, max_size);
  if (seed % 8 == 0) return size;
  for (size_t at = 0; at + 46 <= size; at++) { /* directory entries: their local header's bytes, stored */
    if (memcmp(data + at, "PK\1\2", 4) || le16(data + at + 10)) continue;
    uint32_t n = le32(data + at + 20), from = le32(data + at + 42);
    if (from > size || size - from < 30 || memcmp(data + from, "PK\3\4", 4)) continue;
    size_t body = (size_t)from + 30 + le16(data + from + 26) + le16(data + from + 28);
    if (body > size || n > size - body) continue;
    uint32_t c = (uint32_t)crc32(0, data + body, n);
    put32(data + at + 16, c);
    put32(data + from + 14, c);
  }
  return size;
}
