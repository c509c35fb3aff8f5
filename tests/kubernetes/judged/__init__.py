"""A part of the story a module; each has `judge(folder)`, which prints what was measured and gives what is wrong."""
