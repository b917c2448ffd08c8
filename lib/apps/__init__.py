"""Programs for people: a video on the command line, a page in the browser."""
