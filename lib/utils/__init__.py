"""What every part of the project uses: user errors, atomic file writing, progress, devices, threads, the version."""
