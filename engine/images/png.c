#include "images/png.h"

#include <errno.h>
#include <math.h>
#include <png.h>
#include <setjmp.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "formats/file.h"

/* Everything that has to outlive a longjmp of libpng stands here: no local of
 * the functions that call setjmp is changed after it. */
typedef struct codec {
  png_structp png;
  png_infop info;
  const char *name;
  const uint8_t *src; /* reading: the file's bytes */
  size_t size, pos;
  pc_file_writer *writer; /* writing */
  int rc;                 /* what went wrong, with the sentence recorded */
  uint8_t *rows;          /* what libpng delivers: (height, stride) */
  png_bytep *row;
  size_t stride;
  png_uint_32 width, height;
  int depth, color, out_channels, has_alpha; /* of the delivered rows */
} codec;

static void on_error(png_structp png, png_const_charp message) {
  codec *c = png_get_error_ptr(png);
  if (c->rc == PC_OK) c->rc = pc_fail(PC_EFORMAT, "%s: damaged PNG: %s", c->name, message);
  png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp message) { (void)png, (void)message; }

/* libpng calls what follows from a failure "damaged", or goes on without a chunk: the cause is kept. */
static png_voidp png_alloc(png_structp png, png_alloc_size_t n) {
  codec *c = png_get_mem_ptr(png);
  void *p = pc_malloc(n);
  if (!p && c->rc == PC_OK) c->rc = pc_error_prefix(PC_ENOMEM, "%s", c->name);
  return p;
}

static void png_release(png_structp png, png_voidp p) { pc_free(p); }

static void read_bytes(png_structp png, png_bytep to, size_t n) {
  codec *c = png_get_io_ptr(png);
  if (n > c->size - c->pos) {
    c->rc = pc_fail(PC_EFORMAT, "%s: the PNG file is truncated: it ends after %zu bytes", c->name, c->size);
    png_error(png, "truncated");
  }
  memcpy(to, c->src + c->pos, n);
  c->pos += n;
}

static void codec_free(codec *c, int reading) {
  if (c->png) {
    if (reading)
      png_destroy_read_struct(&c->png, &c->info, NULL);
    else
      png_destroy_write_struct(&c->png, &c->info);
  }
  pc_free(c->row);
  pc_free(c->rows);
}

/* The row transformations for a picture or for labels; the caller has setjmp. */
static void set_transforms(codec *c, int labels) {
  if (labels) {
    if (c->color & PNG_COLOR_MASK_COLOR && c->color != PNG_COLOR_TYPE_PALETTE) {
      c->rc = pc_fail(PC_EFORMAT, "%s: a mask has to be a gray or palette PNG, this one is %s", c->name,
                      c->color & PNG_COLOR_MASK_ALPHA ? "RGBA" : "RGB");
      png_error(c->png, "mask");
    }
    if (c->depth < 8) png_set_packing(c->png);
    if (c->color & PNG_COLOR_MASK_ALPHA) png_set_strip_alpha(c->png);
  } else {
    if (c->color == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(c->png);
    if (c->color == PNG_COLOR_TYPE_GRAY && c->depth < 8) png_set_expand_gray_1_2_4_to_8(c->png);
    if (png_get_valid(c->png, c->info, PNG_INFO_tRNS)) png_set_tRNS_to_alpha(c->png);
    if (c->depth == 16) png_set_scale_16(c->png);
  }
  png_set_interlace_handling(c->png);
  png_read_update_info(c->png, c->info);
  c->out_channels = png_get_channels(c->png, c->info);
  c->has_alpha = c->out_channels == 2 || c->out_channels == 4;
  c->stride = png_get_rowbytes(c->png, c->info);
}

/* Deflate packs at most 1032 to 1, so few bytes cannot hold many pixels. */
static int check_size(codec *c, int bits_per_pixel) {
  uint64_t pixels = (uint64_t)c->width * c->height;
  if (c->width > PC_IMAGE_MAX_SIDE || c->height > PC_IMAGE_MAX_SIDE || pixels > PC_IMAGE_MAX_PIXELS)
    return pc_fail(PC_EFORMAT, "%s: the header says %lu x %lu pixels; the limit is %d a side and %d in all", c->name,
                   (unsigned long)c->width, (unsigned long)c->height, PC_IMAGE_MAX_SIDE, PC_IMAGE_MAX_PIXELS);
  if (pixels * (uint64_t)bits_per_pixel / 8 > 1100 * (uint64_t)c->size)
    return pc_fail(PC_EFORMAT,
                   "%s: the PNG file is truncated: its header says %lu x %lu pixels, which %zu bytes cannot hold",
                   c->name, (unsigned long)c->width, (unsigned long)c->height, c->size);
  return PC_OK;
}

/* Fills c->rows; everything that may longjmp is in here. */
static int read_rows(codec *c, int labels) {
  c->png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, c, on_error, on_warning, c, png_alloc, png_release);
  if (!c->png || !(c->info = png_create_info_struct(c->png)))
    return c->rc < 0 ? c->rc : pc_fail(PC_ENOMEM, "%s: out of memory", c->name);
  if (setjmp(png_jmpbuf(c->png))) return c->rc < 0 ? c->rc : pc_fail(PC_EFORMAT, "%s: damaged PNG", c->name);
  png_set_read_fn(c->png, c, read_bytes);
  png_set_user_limits(c->png, 0x7fffffff, 0x7fffffff); /* check_size() has the better message */
  png_read_info(c->png, c->info);
  png_get_IHDR(c->png, c->info, &c->width, &c->height, &c->depth, &c->color, NULL, NULL, NULL);
  if ((c->rc = check_size(c, c->depth * png_get_channels(c->png, c->info))) < 0) return c->rc;
  set_transforms(c, labels);
  c->rows = pc_malloc(c->stride * c->height);
  c->row = pc_malloc(sizeof *c->row * c->height);
  if (!c->rows || !c->row) return c->rc = pc_error_prefix(PC_ENOMEM, "%s", c->name);
  for (png_uint_32 y = 0; y < c->height; y++) c->row[y] = c->rows + y * c->stride;
  png_read_image(c->png, c->row);
  png_read_end(c->png, NULL);
  return c->rc;
}

static inline uint8_t over_white(unsigned v, unsigned a) { return (uint8_t)((v * a + 255 * (255 - a) + 127) / 255); }

static void convert_row(uint8_t *to, const uint8_t *from, int64_t n, int have, int want) {
  int alpha = have == 2 || have == 4, color = have >= 3;
  for (int64_t i = 0; i < n; i++, from += have, to += want) {
    unsigned r = from[0], g = color ? from[1] : r, b = color ? from[2] : r, a = alpha ? from[have - 1] : 255;
    if (want != 4 && a != 255) r = over_white(r, a), g = over_white(g, a), b = over_white(b, a);
    if (want == 1) {
      to[0] = color ? (uint8_t)((299 * r + 587 * g + 114 * b + 500) / 1000) : (uint8_t)r;
    } else {
      to[0] = (uint8_t)r, to[1] = (uint8_t)g, to[2] = (uint8_t)b;
      if (want == 4) to[3] = (uint8_t)a;
    }
  }
}

/* Delivered rows -> out->data */
static int convert(pc_image *out, codec *c, int channels) {
  int64_t h = c->height, w = c->width;
  int wide = c->depth == 16 && channels == 0;
  out->height = h;
  out->width = w;
  out->channels = channels ? channels : 1;
  if (!wide && c->out_channels == out->channels && (!c->has_alpha || channels == 4) &&
      c->stride == (size_t)w * (size_t)out->channels) { /* already what is wanted */
    out->data = c->rows;
    c->rows = NULL;
    return PC_OK;
  }
  if (!(out->data = pc_malloc((size_t)(h * w * out->channels)))) return pc_error_prefix(PC_ENOMEM, "%s", c->name);
  for (int64_t y = 0; y < h; y++) {
    uint8_t *to = out->data + y * w * out->channels;
    if (!wide) {
      convert_row(to, c->row[y], w, c->out_channels, out->channels);
      continue;
    }
    for (int64_t x = 0; x < w; x++) {
      const uint8_t *p = c->row[y] + 2 * x * c->out_channels;
      if (p[0]) {
        pc_image_clear(out);
        return pc_fail(PC_EFORMAT, "%s: label %d at row %lld, column %lld: labels go up to 255", c->name,
                       p[0] << 8 | p[1], (long long)y + 1, (long long)x + 1);
      }
      to[x] = p[1];
    }
  }
  return PC_OK;
}

void pc_image_clear(pc_image *im) {
  pc_free(im->data);
  im->data = NULL;
}

int pc_png_decode_memory(pc_image *out, const void *data, size_t n, int channels, const char *name) {
  static const uint8_t magic[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  codec c = {.name = name, .src = data, .size = n};
  *out = (pc_image){0};
  if (channels != 0 && channels != 1 && channels != 3 && channels != 4)
    return pc_fail(PC_EARG, "%s: %d channels asked for; 1 (gray), 3 (RGB) or 4 (RGBA) can be read", name, channels);
  if (n == 0) return pc_fail(PC_EFORMAT, "%s: the file is empty", name);
  if (memcmp(data, magic, n < 8 ? n : 8)) {
    const uint8_t *b = data;
    int jpeg = n >= 3 && b[0] == 0xff && b[1] == 0xd8 && b[2] == 0xff;
    return pc_fail(PC_EFORMAT, "%s: not a PNG file%s", name, jpeg ? "; it is a JPEG: convert it to PNG" : "");
  }
  int rc = read_rows(&c, channels == 0);
  if (rc == PC_OK) rc = convert(out, &c, channels);
  codec_free(&c, 1);
  return rc;
}

int pc_png_decode(pc_image *out, const char *path, int channels) {
  char *data;
  size_t n;
  *out = (pc_image){0};
  int rc = pc_file_read(&data, &n, path, (size_t)1 << 31);
  if (rc < 0) return rc;
  rc = pc_png_decode_memory(out, data, n, channels, path);
  pc_free(data);
  return rc;
}

static void release_block(void *p) { pc_free(p); }

static int to_tensor(pc_tensor **out, pc_image *im, int ndim) {
  int64_t size[3] = {im->height, im->width, im->channels};
  int rc = pc_tensor_wrap(out, PC_U8, ndim, size, im->data, release_block, im->data);
  if (rc < 0) pc_image_clear(im);
  return rc;
}

int pc_png_read(pc_tensor **out, const char *path, int channels) {
  pc_image im;
  *out = NULL;
  if (channels == 0) return pc_fail(PC_EARG, "png: 0 channels asked for; 1, 3 or 4 can be read");
  int rc = pc_png_decode(&im, path, channels);
  return rc < 0 ? rc : to_tensor(out, &im, 3);
}

int pc_png_read_labels(pc_tensor **out, const char *path) {
  pc_image im;
  *out = NULL;
  int rc = pc_png_decode(&im, path, 0);
  return rc < 0 ? rc : to_tensor(out, &im, 2);
}

/* ---- writing ---- */

static void write_bytes(png_structp png, png_bytep from, size_t n) {
  codec *c = png_get_io_ptr(png);
  if ((c->rc = pc_file_write(c->writer, from, n)) < 0) png_error(png, "write");
}

static void flush_bytes(png_structp png) { (void)png; }

static int write_rows(codec *c, const char *const *text) {
  static const int color[5] = {0, PNG_COLOR_TYPE_GRAY, PNG_COLOR_TYPE_GRAY_ALPHA, PNG_COLOR_TYPE_RGB,
                               PNG_COLOR_TYPE_RGB_ALPHA};
  c->png = png_create_write_struct_2(PNG_LIBPNG_VER_STRING, c, on_error, on_warning, c, png_alloc, png_release);
  if (!c->png || !(c->info = png_create_info_struct(c->png)))
    return c->rc < 0 ? c->rc : pc_fail(PC_ENOMEM, "%s: out of memory", c->name);
  if (setjmp(png_jmpbuf(c->png))) return c->rc < 0 ? c->rc : pc_fail(PC_EIO, "%s: writing the PNG failed", c->name);
  png_set_write_fn(c->png, c, write_bytes, flush_bytes);
  png_set_IHDR(c->png, c->info, c->width, c->height, 8, color[c->out_channels], PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  for (const char *const *p = text; p && p[0] && p[1]; p += 2) {
    png_text chunk = {.compression = PNG_TEXT_COMPRESSION_NONE, .key = (png_charp)p[0], .text = (png_charp)p[1]};
    png_set_text(c->png, c->info, &chunk, 1);
  }
  png_write_info(c->png, c->info);
  for (png_uint_32 y = 0; y < c->height; y++) {
    if (pc_interrupted()) return c->rc = pc_check_interrupt();
    png_write_row(c->png, c->src + y * c->stride);
  }
  png_write_end(c->png, c->info);
  return c->rc;
}

int pc_png_write_pixels(const char *path, const uint8_t *data, int64_t height, int64_t width, int channels,
                        const char *const *text) {
  pc_file_writer w;
  if (channels < 1 || channels > 4) return pc_fail(PC_EARG, "%s: a PNG has 1 to 4 channels, not %d", path, channels);
  if (height < 1 || width < 1 || height > PC_IMAGE_MAX_SIDE || width > PC_IMAGE_MAX_SIDE)
    return pc_fail(PC_EARG, "%s: a picture of %lld x %lld pixels cannot be written; a side has 1 to %d", path,
                   (long long)height, (long long)width, PC_IMAGE_MAX_SIDE);
  int rc = pc_file_begin(&w, path);
  if (rc < 0) return rc;
  codec c = {.name = path,
             .src = data,
             .writer = &w,
             .stride = (size_t)(width * channels),
             .width = (png_uint_32)width,
             .height = (png_uint_32)height,
             .out_channels = channels};
  rc = write_rows(&c, text);
  codec_free(&c, 0);
  if (rc == PC_OK)
    rc = pc_file_commit(&w);
  else
    pc_file_abort(&w);
  return rc;
}

static uint8_t to_byte(double v) { return v > 0 ? (v < 1 ? (uint8_t)(v * 255 + 0.5) : 255) : 0; }

int pc_png_write(const char *path, const pc_tensor *image, const char *const *text) {
  pc_tensor *flat = NULL;
  uint8_t *bytes = NULL;
  if (image->ndim < 2 || image->ndim > 3 || (image->ndim == 3 && (image->size[2] < 1 || image->size[2] > 4)))
    return pc_fail(PC_ESHAPE, "png: image has shape %s; (H,W), (H,W,1), (H,W,3) or (H,W,4) can be written%s",
                   pc_shape_str(image), image->ndim == 4 ? "; select one image, or use a grid" : "");
  if (image->dtype != PC_U8 && !pc_dtype_is_float(image->dtype))
    return pc_fail(PC_EDTYPE, "png: image is %s; u8 (0..255) or f32, f64 (0..1) can be written",
                   pc_dtype_name(image->dtype));
  int rc = pc_contiguous(&flat, image);
  if (rc < 0) return rc;
  int64_t n = pc_numel(flat);
  const uint8_t *data = pc_data(flat);
  if (flat->dtype != PC_U8) {
    if (!(bytes = pc_malloc((size_t)n))) {
      rc = PC_ENOMEM;
      goto done;
    }
    for (int64_t i = 0; i < n; i++) bytes[i] = to_byte(flat->dtype == PC_F32 ? pc_f32(flat)[i] : pc_f64(flat)[i]);
    data = bytes;
  }
  rc = pc_png_write_pixels(path, data, flat->size[0], flat->size[1], flat->ndim == 3 ? (int)flat->size[2] : 1, text);
done:
  pc_free(bytes);
  pc_tensor_release(flat);
  return rc;
}
