/* digest.h: XXH3-128 of bytes and files, as 32 lower-case hex digits in the
 * canonical (big-endian) order that `xxhsum -H2` prints. It names contents; it
 * is no protection against an adversary. */
#ifndef PC_DB_DIGEST_H
#define PC_DB_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#define PC_DIGEST_SIZE 33 /* with the NUL */

void pc_digest_bytes(char out[PC_DIGEST_SIZE], const void *data, size_t size);

/* bytes may be NULL; else receives the file's size. PC_ENOTFOUND, PC_EIO. */
int pc_digest_file(char out[PC_DIGEST_SIZE], int64_t *bytes, const char *path);

/* In pieces: init, update…, final frees the state. NULL on lack of memory. */
typedef struct pc_digest pc_digest;
pc_digest *pc_digest_new(void);
void pc_digest_update(pc_digest *d, const void *data, size_t size);
void pc_digest_final(pc_digest *d, char out[PC_DIGEST_SIZE]);

#endif
