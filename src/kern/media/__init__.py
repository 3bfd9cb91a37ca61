"""Images, sound, videos and files, as users give them to a run and find them in its output.

In a run they are parts of messages (:mod:`kern.run.content`). A file of this machine is read when
the run is submitted, for it may execute on another one.
"""

from kern.media.base import Media, max_media_size
from kern.media.kinds import Audio, File, Image, Video, media_in, media_of

__all__ = ["Audio", "File", "Image", "Media", "Video", "max_media_size", "media_in", "media_of"]
