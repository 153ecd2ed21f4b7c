/* Checkpoints: as they come; and, where the bytes are named tensors at all, written again with a true mark and digest,
 * so that what the digest guards is reached: generators, lists of numbers, restoring into tensors that exist. */
#include "fuzz.h"

#include "formats/checkpoint.h"
#include "formats/safetensors.h"

static void use(pc_bundle *b) {
  pc_rng g;
  uint64_t u[6];
  double d[4];
  for (int64_t i = 0; i < pc_bundle_nmeta(b); i++) {
    const char *key = pc_bundle_key(b, i);
    if (pc_checkpoint_get_rng(&g, b, key) == PC_OK) (void)pc_rng_next(&g);
    if (pc_bundle_get_u64(u, 6, b, key) < 0) pc_fuzz_expect(*pc_error_text());
    if (pc_bundle_get_f64(d, 4, b, key) < 0) pc_fuzz_expect(*pc_error_text());
  }
  static pc_tensor *into[2];
  static const char *const names[] = {"weight", "bias"};
  if (!into[0]) {
    pc_fuzz_expect(pc_tensor_full(&into[0], PC_F32, 2, (int64_t[]){3, 2}, 0) == PC_OK);
    pc_fuzz_expect(pc_tensor_full(&into[1], PC_F32, 1, (int64_t[]){3}, 0) == PC_OK);
  }
  for (int partial = 0; partial < 2; partial++)
    if (pc_checkpoint_restore(b, partial ? NULL : "m.", names, into, 2, partial) < 0) pc_fuzz_expect(*pc_error_text());
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  pc_bundle *b;
  const char *path = pc_fuzz_file("input.ckpt", data, size);
  if (pc_checkpoint_read(&b, path) == PC_OK) {
    use(b);
    pc_bundle_free(b);
  }
  if (pc_safetensors_parse(&b, data, size, "input") < 0) return 0;
  if (pc_checkpoint_write(path, b) == PC_OK) {
    pc_bundle_free(b);
    pc_fuzz_expect(pc_checkpoint_read(&b, path) == PC_OK);
    use(b);
  }
  pc_bundle_free(b);
  return 0;
}
