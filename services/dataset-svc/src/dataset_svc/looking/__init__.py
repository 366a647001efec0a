"""What looking into a version needs beside it: an index of its names, thumbnails. All is made on demand, kept on this
node as long as there is room, and made again where it is gone; nothing of it is part of a version."""
