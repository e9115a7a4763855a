"""What a control costs: the whole figure is drawn anew only where its axes change."""

from entropic_edu.course.let_go.walk import Walk
from entropic_edu.figures.pixels import png


def test_the_figure_of_the_walkers_is_drawn_anew_only_where_its_axis_of_steps_changes():
    # A whole drawing takes ten times as long as the lines that move.
    picture, drawn = Walk(), []
    state = {"batch_size": 16, "learning_rate": 0.02, "released_at": 0.3, "road_pair": None}
    picture.show(state, None, None)
    png(picture.figure)
    picture.figure.canvas.mpl_connect("draw_event", lambda event: drawn.append(event))
    for turned in ({"batch_size": None}, {"released_at": 0.7}, {"road_pair": 2}):
        picture.show(state | turned, None, None)
        png(picture.figure)
    assert len(drawn) == 0
    picture.show(state | {"learning_rate": 0.04}, None, None)  # another number of steps
    png(picture.figure)
    assert len(drawn) == 1
