"""What every part of the project uses: user errors, safe file writing, progress."""
