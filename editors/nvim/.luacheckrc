std = "luajit"
codes = true
max_line_length = 120
globals = { "vim" }
