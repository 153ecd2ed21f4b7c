/* PNG files: as pictures of 1, 3 and 4 channels and as labels. The mutator repairs the CRC of every chunk, so that
 * what lies behind them is reached. */
#include "fuzz.h"

#include <zlib.h>

#include "base/error.h"
#include "images/png.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const int kinds[] = {0, 1, 3, 4};
  for (size_t i = 0; i < 4; i++) {
    pc_image im = {0};
    int rc = pc_png_decode_memory(&im, data, size, kinds[i], "input.png");
    if (rc == PC_OK) {
      pc_fuzz_expect(im.height > 0 && im.width > 0 && im.channels == (kinds[i] ? kinds[i] : 1) && im.data);
      unsigned sum = 0;
      for (int64_t k = 0; k < im.height * im.width * im.channels; k++) sum += im.data[k];
      pc_fuzz_expect(sum != 1u || sum == 1u); /* every byte was read */
    } else {
      pc_fuzz_expect(*pc_error_text());
    }
    pc_image_clear(&im);
  }
  return 0;
}

static uint32_t big(const uint8_t *p) {
  return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
  size = LLVMFuzzerMutate(data, size, max_size);
  if (seed % 8 == 0) return size; /* now and then as it is */
  for (size_t at = 8; at + 12 <= size;) {
    uint32_t n = big(data + at);
    if (n > size - at - 12) break;
    uint32_t c = (uint32_t)crc32(0, data + at + 4, n + 4);
    for (int k = 0; k < 4; k++) data[at + 8 + n + (size_t)k] = (uint8_t)(c >> (24 - 8 * k));
    at += 12 + (size_t)n;
  }
  return size;
}
