"""The programs that people run: thin, they parse arguments, call the library and set the exit status."""
