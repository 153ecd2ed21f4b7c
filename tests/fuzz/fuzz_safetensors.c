/* Named tensors: what is read can be written and reads back under the same names. The mutator repairs the header's
 * length. */
#include "fuzz.h"

#include "formats/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  pc_bundle *b, *back;
  if (pc_safetensors_parse(&b, data, size, "input.safetensors") < 0) {
    pc_fuzz_expect(*pc_error_text());
    return 0;
  }
  char path[128];
  snprintf(path, sizeof path, "%s/back.safetensors", pc_fuzz_folder());
  pc_fuzz_expect(pc_safetensors_write(path, b) == PC_OK);
  pc_fuzz_expect(pc_safetensors_read(&back, path) == PC_OK);
  pc_fuzz_expect(pc_bundle_count(back) == pc_bundle_count(b));
  for (int64_t i = 0; i < pc_bundle_count(b); i++) {
    pc_tensor *t = pc_bundle_find(back, pc_bundle_name(b, i));
    pc_fuzz_expect(t && pc_same_shape(t, pc_bundle_tensor(b, i)));
  }
  pc_bundle_free(back);
  pc_bundle_free(b);
  return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
  size = LLVMFuzzerMutate(data, size, max_size);
  if (seed % 4 == 0 || size < 10) return size;
  size_t depth = 0, n = 0; /* the header ends with the brace that closes the first */
  for (size_t i = 8; i < size && !n; i++) {
    depth += data[i] == '{';
    if (data[i] == '}' && depth && !--depth) n = i - 7;
  }
  for (int k = 0; n && k < 8; k++) data[k] = (uint8_t)(n >> 8 * k);
  return size;
}
