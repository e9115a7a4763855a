"""What a control costs: the whole figure is drawn anew only where its axes change."""

from explorers import figure

from entropic_edu.course.let_go import CHAPTER
from entropic_edu.figures.pixels import png


def test_the_figure_of_the_walkers_is_drawn_anew_only_where_its_axis_of_steps_changes():
    # A whole drawing takes ten times as long as the lines that move.
    walk, drawn = CHAPTER.explorers["walk"](0), []
    first = figure(walk, batch_size=16)
    png(first)
    first.canvas.mpl_connect("draw_event", lambda event: drawn.append(event))
    for turned in ({"batch_size": None}, {"released_at": 0.7}, {"road_pair": 2}):
        png(figure(walk, **turned))
    assert len(drawn) == 0
    png(figure(walk, learning_rate=0.04))  # another number of steps
    assert len(drawn) == 1
