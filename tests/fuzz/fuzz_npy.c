/* One array a file: what is read can be written and reads back the same. */
#include "fuzz.h"

#include "formats/npy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  pc_tensor *t, *back;
  if (pc_npy_parse(&t, data, size, "input.npy") < 0) {
    pc_fuzz_expect(*pc_error_text());
    return 0;
  }
  char path[128];
  snprintf(path, sizeof path, "%s/back.npy", pc_fuzz_folder());
  pc_fuzz_expect(pc_npy_write(path, t) == PC_OK);
  pc_fuzz_expect(pc_npy_read(&back, path) == PC_OK);
  pc_fuzz_expect(back->dtype == t->dtype && pc_same_shape(back, t));
  pc_tensor_release(back);
  pc_tensor_release(t);
  return 0;
}
