"""The toolkit of films, with real files: it needs moviepy, which brings ffmpeg."""

from pathlib import Path

import pytest

moviepy = pytest.importorskip("moviepy")
numpy = pytest.importorskip("numpy")

from kern.tools.moviepy_video import MoviePyVideoTools  # noqa: E402 # it needs them

# The library leaves the pipes of ffmpeg to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

SRT = "1\n00:00:00,000 --> 00:00:00,500\nHällo\n\n"


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """A second of black with a tone."""
    path = tmp_path / "film.mp4"
    tone = moviepy.AudioClip(lambda t: numpy.sin(2764 * t), duration=1, fps=44100)
    black = moviepy.ColorClip((160, 120), color=(0, 0, 0), duration=1).with_audio(tone)
    black.write_videofile(str(path), fps=10, logger=None)
    return path


def test_the_sound_of_a_film_is_written(film: Path, tmp_path: Path) -> None:
    output = str(tmp_path / "sound.mp3")
    assert MoviePyVideoTools().extract_audio(str(film), output) == output
    with moviepy.AudioFileClip(output) as sound:
        assert sound.duration == pytest.approx(1, abs=0.2)


def test_a_film_gets_captions(film: Path, tmp_path: Path) -> None:
    tools = MoviePyVideoTools()
    captions = tools.create_srt(SRT, str(tmp_path / "film.srt"))
    output = tools.embed_captions(str(film), captions, font_size=20)
    assert output == str(tmp_path / "film_captioned.mp4")
    with moviepy.VideoFileClip(output) as made:
        assert made.duration == pytest.approx(1, abs=0.2)
        assert made.get_frame(0.2).max() > 200
        assert made.get_frame(0.9).max() < 60
