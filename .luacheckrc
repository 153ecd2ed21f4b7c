-- make lint: every Lua file of the tree. Nobody writes a global; `arg` is the script's command line.
std = "luajit"
max_line_length = 140
codes = true
