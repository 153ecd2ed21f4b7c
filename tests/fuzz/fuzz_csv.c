/* CSV tables: every cell that is promised can be read. */
#include "fuzz.h"

#include "formats/csv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  pc_csv *t;
  if (pc_csv_parse(&t, (const char *)data, size, "input.csv") < 0) {
    pc_fuzz_expect(*pc_error_text());
    return 0;
  }
  size_t bytes = 0;
  for (int c = 0; c < pc_csv_cols(t); c++) {
    pc_fuzz_expect(*pc_csv_header(t, c));
    pc_fuzz_expect(pc_csv_find(t, pc_csv_header(t, c)) == c);
    for (int64_t r = 0; r < pc_csv_rows(t); r++) bytes += strlen(pc_csv_cell(t, r, c));
  }
  pc_fuzz_expect(bytes <= size);
  pc_csv_free(t);
  return 0;
}
