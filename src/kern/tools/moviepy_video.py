"""Films in files: their sound, and captions in them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from kern.extras import extra
from kern.tools.toolkit import Toolkit


class MoviePyVideoTools(Toolkit):
    """Tools that take the sound out of films and put captions into them (extra ``moviepy``).

    The model says which files are read and written; offer them where it may do that.

    Example:
        >>> [*MoviePyVideoTools(enable_embed_captions=False).functions]
        ['extract_audio', 'create_srt']
    """

    uses_files = True

    def __init__(
        self,
        enable_process_video: bool = True,
        enable_generate_captions: bool = True,
        enable_embed_captions: bool = True,
        all: bool = False,
        **options: Any,
    ) -> None:
        """Choose the tools.

        Args:
            enable_process_video: offer ``extract_audio``.
            enable_generate_captions: offer ``create_srt``.
            enable_embed_captions: offer ``embed_captions``.
            all: offer all three.
            **options: those of :class:`Toolkit`.

        Raises:
            MissingExtraError: moviepy is not installed.
        """
        with extra("moviepy"):
            import moviepy  # noqa: F401
        tools: list[Callable[..., object]] = []
        if all or enable_process_video:
            tools.append(self.extract_audio)
        if all or enable_generate_captions:
            tools.append(self.create_srt)
        if all or enable_embed_captions:
            tools.append(self.embed_captions)
        super().__init__(name="video_tools", tools=tools, **options)

    def extract_audio(self, video_path: str, output_path: str) -> str:
        """Write the sound of a film into a file.

        Args:
            video_path: the path of the film.
            output_path: the path of the sound, such as "sound.mp3".

        Returns:
            The path of the sound.
        """
        from moviepy import VideoFileClip

        with VideoFileClip(video_path) as film:
            if film.audio is None:
                raise ValueError(f"{video_path} has no sound.")
            film.audio.write_audiofile(output_path, logger=None)
        return output_path

    def create_srt(self, transcription: str, output_path: str) -> str:
        """Write subtitles into a file.

        Args:
            transcription: the subtitles, in the form SRT.
            output_path: the path of the file.

        Returns:
            The path of the file.
        """
        Path(output_path).write_text(transcription, encoding="utf-8")
        return output_path

    def embed_captions(
        self,
        video_path: str,
        srt_path: str,
        output_path: str | None = None,
        font_size: int = 24,
        font_color: str = "white",
        stroke_color: str = "black",
        stroke_width: int = 1,
    ) -> str:
        """Write a film with captions in it.

        Args:
            video_path: the path of the film without them.
            srt_path: the path of the captions, in the form SRT.
            output_path: the path of the new film; by default beside the other one.
            font_size: the size of the captions.
            font_color: their color.
            stroke_color: the color of their outline.
            stroke_width: the width of it.

        Returns:
            The path of the new film.
        """
        from moviepy import CompositeVideoClip, TextClip, VideoFileClip
        from moviepy.video.tools.subtitles import SubtitlesClip

        def caption(text: str) -> TextClip:
            return TextClip(
                text=text,
                font_size=font_size,
                color=font_color,
                stroke_color=stroke_color,
                stroke_width=stroke_width,
            )

        path = Path(video_path)
        output = output_path or str(path.with_name(f"{path.stem}_captioned.mp4"))
        with VideoFileClip(video_path) as film:
            captions = SubtitlesClip(srt_path, make_textclip=caption, encoding="utf-8")
            placed = captions.with_position(("center", "bottom")).with_duration(film.duration)
            CompositeVideoClip([film, placed]).write_videofile(
                output, codec="libx264", audio_codec="aac", logger=None
            )
        return output
