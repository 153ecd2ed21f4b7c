/* files.c: percept.files: texts in and out of files, folders, what stands at a path. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/alloc.h"
#include "bindings/args.h"
#include "formats/file.h"

int luaopen_percept_files(lua_State *L);

/* nil and the reason where others would raise: a missing file is no mistake of the caller. */
static int nothing(lua_State *L) {
  lua_pushnil(L);
  lua_pushstring(L, pc_error_text());
  return 2;
}

static int f_read(lua_State *L, pc_args *a) {
  char *text;
  size_t n;
  if (pc_arg_given(a, "most") && !(pc_arg_num(a, "most") >= 1))
    return pc_arg_fail(L, a, "most", "a number of bytes from 1 on");
  int rc = pc_file_read(&text, &n, pc_arg_str(a, "path"), pc_arg_given(a, "most") ? (size_t)pc_arg_num(a, "most") : 0);
  if (rc < 0) return nothing(L);
  lua_pushlstring(L, text, n);
  pc_free(text);
  return 1;
}

static int f_write(lua_State *L, pc_args *a) {
  size_t n;
  const char *text = lua_tolstring(L, pc_arg_at(a, "text"), &n);
  return pc_file_save(pc_arg_str(a, "path"), text, n);
}

static int f_real(lua_State *L, pc_args *a) {
  char real[PATH_MAX];
  if (!realpath(pc_arg_str(a, "path"), real)) {
    pc_fail(PC_EIO, "%s: %s", pc_arg_str(a, "path"), strerror(errno));
    return nothing(L);
  }
  lua_pushstring(L, real);
  return 1;
}

static const char *kind_of(mode_t m) { return S_ISREG(m) ? "file" : S_ISDIR(m) ? "folder" : "other"; }

static int f_stat(lua_State *L, pc_args *a) {
  struct stat st;
  if (stat(pc_arg_str(a, "path"), &st)) return 0;
  lua_createtable(L, 0, 4);
  lua_pushstring(L, kind_of(st.st_mode)), lua_setfield(L, -2, "kind");
  lua_pushnumber(L, (lua_Number)st.st_size), lua_setfield(L, -2, "bytes");
  lua_pushnumber(L, (lua_Number)st.st_uid), lua_setfield(L, -2, "owner");
  lua_pushboolean(L, st.st_uid == geteuid()), lua_setfield(L, -2, "mine");
  return 1;
}

static int by_name(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

static void free_names(char **names, int n) {
  for (int i = 0; i < n; i++) pc_free(names[i]);
  pc_free(names);
}

/* The names in a folder but . and .., sorted; -1 and an error otherwise. */
static int names_in(char ***out, const char *folder) {
  char **names = NULL;
  int n = 0, cap = 0;
  DIR *d = opendir(folder);
  if (!d) return pc_fail(errno == ENOENT ? PC_ENOTFOUND : PC_EIO, "%s: %s", folder, strerror(errno));
  for (struct dirent *e; (e = readdir(d));) {
    if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")) continue;
    if (n == cap) {
      char **more = pc_realloc(names, (size_t)(cap = cap ? 2 * cap : 32) * sizeof *names);
      if (!more) goto failed;
      names = more;
    }
    if (!(names[n] = pc_strdup(e->d_name))) goto failed;
    n++;
  }
  closedir(d);
  if (n) qsort(names, (size_t)n, sizeof *names, by_name);
  *out = names;
  return n;
failed:
  free_names(names, n);
  closedir(d);
  return PC_ENOMEM;
}

static int f_list(lua_State *L, pc_args *a) {
  char **names, path[PATH_MAX];
  struct stat st;
  int n = names_in(&names, pc_arg_str(a, "folder"));
  if (n < 0) return nothing(L);
  lua_createtable(L, n, 0);
  lua_createtable(L, n, 0);
  for (int i = 0; i < n; i++) {
    int long_one = snprintf(path, sizeof path, "%s/%s", pc_arg_str(a, "folder"), names[i]) >= (int)sizeof path;
    lua_pushstring(L, names[i]);
    lua_rawseti(L, -3, i + 1);
    lua_pushstring(L, long_one || stat(path, &st) ? "other" : kind_of(st.st_mode)); /* "other": a dangling link, too */
    lua_rawseti(L, -2, i + 1);
  }
  free_names(names, n);
  return 2;
}

static int f_temporary_folder(lua_State *L, pc_args *a) {
  const char *tmp = getenv("TMPDIR");
  char path[PATH_MAX];
  snprintf(path, sizeof path, "%s/percept-XXXXXX", tmp && *tmp ? tmp : "/tmp");
  if (!mkdtemp(path)) return pc_fail(PC_EIO, "temporary_folder: %s: %s", path, strerror(errno));
  lua_pushstring(L, path);
  return 1;
}

static int f_remove_folder(lua_State *L, pc_args *a) { /* with the files in it; folders in it are not touched */
  char **names, path[PATH_MAX];
  int n = names_in(&names, pc_arg_str(a, "folder"));
  if (n < 0) return n;
  for (int i = 0; i < n; i++)
    if (snprintf(path, sizeof path, "%s/%s", pc_arg_str(a, "folder"), names[i]) < (int)sizeof path) unlink(path);
  free_names(names, n);
  if (rmdir(pc_arg_str(a, "folder")))
    return pc_fail(PC_EIO, "remove_folder: %s: %s", pc_arg_str(a, "folder"), strerror(errno));
  return 0;
}

static int f_free(lua_State *L, pc_args *a) {
  struct statvfs s;
  if (statvfs(pc_arg_str(a, "folder"), &s)) return 0;
  lua_pushnumber(L, (lua_Number)s.f_bavail * (lua_Number)s.f_frsize);
  return 1;
}

static int f_flush(lua_State *L, pc_args *a) {
  errno = 0;
  int bad = fflush(stdout) || ferror(stdout);
  lua_pushboolean(L, !bad);
  return 1;
}

static const pc_luafn functions[] = {
    {"read", "path:str(any), most:num(0..)?", f_read,
     "text of a regular file, of `most` bytes at most; nil and the reason: missing, no regular file (a FIFO is not "
     "waited for), too large",
     0},
    {"write", "path:str(any), text:str(bytes)", f_write,
     "writes a file whole or not at all: beside it, flushed to the disk, renamed; links are followed, a FIFO or a "
     "device is written into",
     0},
    {"real", "path:str(any)", f_real, "the path without links and dots; nil and the reason when there is no such file",
     0},
    {"stat", "path:str(any)", f_stat,
     "{kind = \"file\", \"folder\" or \"other\", bytes, owner, mine}; nothing if it is not there", 0},
    {"list", "folder:str(any)", f_list,
     "names in a folder, sorted, and their kinds; nil and the reason if it cannot be read", 0},
    {"temporary_folder", "", f_temporary_folder, "makes a folder nobody else has", 0},
    {"remove_folder", "folder:str(any)", f_remove_folder, "removes a folder and the files in it", 0},
    {"free", "folder:str(any)", f_free, "bytes that are free there; nothing if it is not known", 0},
    {"flush", "", f_flush, "did everything printed so far reach standard output?", 0},
    {0}};

int luaopen_percept_files(lua_State *L) {
  lua_newtable(L);
  pc_register(L, "files", functions);
  return 1;
}
