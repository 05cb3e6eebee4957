"""Plans: rules, what is left and why, every problem at once, and the way back."""

from __future__ import annotations

import os
import re

import numpy as np
import pytest

from checkpoints import (
    CheckpointError,
    Ignore,
    Keep,
    Layer,
    MappingError,
    Plan,
    Rule,
    export,
    load,
    make_plan,
    open_checkpoint,
    write_saver,
)
from checkpoints.cli import main

from .support import Variable, data, expected

RULES = [Rule(r"generator/(fc\d+)/(kernel|bias)", r"gen/\1/\2")]


def model():
    return {"gen/fc1/kernel": Variable((4, 3)), "gen/fc1/bias": Variable((3,))}


@pytest.fixture
def adam():
    with open_checkpoint(data("adam")) as checkpoint:
        yield checkpoint


@pytest.fixture
def make(tmp_path):
    """A checkpoint of the given values, opened."""
    opened = []

    def write(**values):
        prefix = tmp_path / f"made{len(opened)}"
        write_saver(prefix, {name.replace("__", "/"): value for name, value in values.items()})
        opened.append(open_checkpoint(prefix))
        return opened[-1]

    yield write
    for checkpoint in opened:
        checkpoint.close()


def problems(checkpoint, targets, rules):
    with pytest.raises(MappingError) as raised:
        make_plan(checkpoint, targets, rules, infer=False)
    for problem in raised.value.problems:
        assert problem.splitlines()[0] in str(raised.value)
    return raised.value.problems


def test_a_rule_meant_for_variables_leaves_their_slots_in_the_file(adam):
    plan = make_plan(adam, model(), [Rule(r"generator/(.*)", r"gen/\1")])
    assert [row.source for row in plan.loads()] == ["generator/fc1/bias", "generator/fc1/kernel"]
    slots = [row for row in plan.rows if "Adam" in row.source]
    assert len(slots) == 4 and all(row.action == "ignore" and row.reason.startswith("slot") for row in slots)


def test_every_tensor_has_a_row_that_says_why(adam):
    rows = {row.source: row for row in make_plan(adam, model(), RULES).rows}
    assert sorted(rows) == list(adam.tensors)
    assert rows["generator/fc1/kernel"].target == "gen/fc1/kernel"
    assert rows["generator/fc1/kernel/Adam"].reason == "slot m of generator/fc1/kernel (Adam)"
    assert rows["generator/fc1/bias/Adam_1"].reason == "slot v of generator/fc1/bias (Adam)"
    assert rows["global_step"].reason == "counter"
    assert "beta1" in rows["beta1_power"].reason
    assert {row.action for row in rows.values() if row.target is None} == {"ignore"}


def test_load_assigns_each_variable_once_with_the_files_bits(adam):
    variables = model()
    load(make_plan(adam, variables, RULES), adam, variables)
    wanted = expected("adam")
    for name, variable in variables.items():
        assert variable.assigned == 1
        assert variable.numpy().tobytes() == wanted[name.replace("gen/", "generator/")].tobytes()


def test_export_gives_back_names_and_bits(adam):
    variables = model()
    plan = make_plan(adam, variables, RULES)
    load(plan, adam, variables)
    wanted = expected("adam")
    back = export(plan, variables)
    assert sorted(back) == ["generator/fc1/bias", "generator/fc1/kernel"]
    assert all(back[name].tobytes() == wanted[name].tobytes() for name in back)
    assert export(plan.inverse(), variables).keys() == back.keys()


def test_names_that_agree_need_no_rule(make):
    checkpoint = make(a__kernel=np.zeros((2, 2), "f4"))
    (row,) = make_plan(checkpoint, {"a/kernel": Variable((2, 2))}).rows
    assert (row.target, row.reason) == ("a/kernel", "the same name")


def test_all_problems_are_reported_at_once(make):
    checkpoint = make(
        a__w=np.zeros((2, 3), "f4"),
        b__w=np.zeros((2, 3), "f4"),
        c__w=np.zeros((4,), "f8"),
        d__w=np.zeros((5,), "f4"),
        stray=np.zeros((9,), "f4"),
    )
    targets = {"x": Variable((2, 3)), "y": Variable((4,)), "z": Variable((6,)), "lonely/stray": Variable((9,))}
    rules = [Rule("[ab]/w", "x"), Rule("c/w", "y"), Rule("d/w", "z")]
    told = problems(checkpoint, targets, rules)
    text = "\n".join(told)
    assert "collision: x is assigned by a/w and b/w" in text
    assert "c/w is float64 in the file, but float32 in the model" in text
    assert 'Rule("c/w", "y", dtype="float32")' in text
    assert "d/w [5] does not fit z [6]" in text
    assert "stray [9] float32 has no place in the model; nearest: lonely/stray [9]" in text
    assert "lonely/stray [9] float32 of the model gets no value; nearest: stray [9]" in text
    assert len(told) == 5


def test_the_rule_that_a_problem_suggests_settles_it(make):
    checkpoint = make(**{"odd.name(1)__w": np.zeros((2,), "f4")})
    targets = {"layer/w": Variable((2,))}
    told = problems(checkpoint, targets, [])
    suggested = re.search(r"^Rule\(.*\)$", told[0], re.MULTILINE).group()
    plan = make_plan(checkpoint, targets, [eval(suggested, {"Rule": Rule})])
    assert plan.rows[0].target == "layer/w"


def test_a_rule_to_a_variable_that_is_not_there_names_the_nearest(adam):
    told = problems(adam, model(), [Rule(r"generator/(.*/(?:kernel|bias))", r"generater/\1")])
    assert any("generater/fc1/kernel" in problem and "nearest: gen/fc1/kernel [4, 3]" in problem for problem in told)


def test_a_pattern_must_match_the_whole_name(make):
    checkpoint = make(kernel=np.zeros(2, "f4"), kernel_more=np.zeros(2, "f4"))
    told = problems(checkpoint, {"k": Variable((2,))}, [Rule("kernel", "k")])
    assert len(told) == 1 and "kernel_more" in told[0]


def test_the_first_rule_wins(make):
    checkpoint = make(a=np.zeros(2, "f4"), b=np.zeros(2, "f4"))
    rules = [Ignore("b", "not wanted"), Rule("a", "x"), Rule(".*", "x")]
    plan = make_plan(checkpoint, {"x": Variable((2,))}, rules)
    assert [(row.source, row.target, row.reason) for row in plan.rows] == [
        ("a", "x", "rule a"),
        ("b", None, "not wanted"),
    ]


@pytest.mark.parametrize("rule", [Rule("(", "x"), Rule("a", r"\1"), Rule("a", r"\g<no>")])
def test_a_broken_rule_is_named(make, rule):
    with pytest.raises(CheckpointError, match="rule"):
        make_plan(make(a=np.zeros(2, "f4")), {"x": Variable((2,))}, [rule])


def test_an_asked_for_cast_is_made_and_undone(make):
    checkpoint = make(w=np.array([1.5, 2.25], "f8"))
    variables = {"w": Variable((2,), "float32")}
    plan = make_plan(checkpoint, variables, [Rule("w", "w", dtype="float32")])
    load(plan, checkpoint, variables)
    assert variables["w"].numpy().dtype == np.float32 and variables["w"].numpy().tolist() == [1.5, 2.25]
    assert export(plan, variables)["w"].dtype == np.float64


def test_transposition_goes_both_ways(make):
    value = np.arange(6, dtype="f4").reshape(2, 3)
    checkpoint = make(w=value)
    variables = {"w": Variable((3, 2))}
    plan = make_plan(checkpoint, variables, [Rule("w", "w", transform="transpose")])
    load(plan, checkpoint, variables)
    assert np.array_equal(variables["w"].numpy(), value.T)
    assert np.array_equal(export(plan, variables)["w"], value)


def test_a_plan_survives_json_and_says_what_is_wrong_in_an_edited_one(adam):
    plan = make_plan(adam, model(), RULES)
    assert Plan.from_json(plan.to_json()) == plan
    assert plan.inverse().inverse().loads() == tuple(row for row in plan.rows if row.target)
    for text, told in [
        ("{", "not JSON"),
        ("[]", "not a plan"),
        (plan.to_json().replace('"action": "load"', '"action": "laod"', 1), "row"),
        (plan.to_json().replace('"transform"', '"transfrom"', 1), "transfrom"),
        (plan.to_json().replace("[4, 3]", "[-4, 3]", 1), "source_shape"),
    ]:
        with pytest.raises(CheckpointError, match=told):
            Plan.from_json(text)


def test_the_table_shows_every_tensor_and_counts(adam):
    table = make_plan(adam, model(), RULES).table()
    assert all(name in table for name in adam.tensors)
    assert table.endswith("2 loaded, 7 left")


def test_on_a_narrow_terminal_names_and_reasons_stay_whole(adam):
    plan = make_plan(adam, model(), RULES)
    table = plan.table(40)
    assert max(map(len, table.splitlines())) <= 40
    told = " ".join(table.split())
    for row in plan.rows:
        assert row.source in told and row.reason in told and (row.target or "") in told
    assert plan.table(200) == plan.table()


def test_a_plan_for_another_model_assigns_nothing(adam):
    plan = make_plan(adam, model(), RULES)
    other = {"gen/fc1/kernel": Variable((4, 3)), "gen/fc1/bias": Variable((4,)), "new": Variable((1,))}
    with pytest.raises(MappingError) as raised:
        load(plan, adam, other)
    assert len(raised.value.problems) == 2
    assert not any(variable.assigned for variable in other.values())


def test_a_variable_that_does_not_keep_what_it_was_given_is_an_error(adam):
    class Forgetful(Variable):
        def assign(self, value):
            self.assigned += 1

    variables = dict(model(), **{"gen/fc1/kernel": Forgetful((4, 3))})
    with pytest.raises(
        CheckpointError, match="gen/fc1/kernel was assigned from generator/fc1/kernel, but does not hold"
    ):
        load(make_plan(adam, variables, RULES), adam, variables)


def recurrent():
    shapes = {"rnn/kernel": (3, 15), "rnn/recurrent_kernel": (5, 15), "rnn/bias": (15,)}
    return {name: Variable(shape) for name, shape in shapes.items()}


def test_a_saved_plan_that_lacks_a_row_is_not_run(make, tmp_path, capsys):
    """What no row assigns would be whatever stood in memory."""
    cells = {"gates__kernel": (8, 10), "gates__bias": (10,), "candidate__kernel": (8, 5), "candidate__bias": (5,)}
    checkpoint = make(**{"rnn__gru_cell__" + name: np.ones(shape, "f4") for name, shape in cells.items()})
    model = make(**{name.replace("/", "__"): variable.numpy() for name, variable in recurrent().items()})
    plan = make_plan(checkpoint, recurrent(), infer=True)
    assert len(plan.rows) == 6
    for place in range(6):
        cut = Plan.from_json(Plan(plan.rows[:place] + plan.rows[place + 1 :]).to_json())
        variables = recurrent()
        with pytest.raises(MappingError):
            load(cut, checkpoint, variables)
        assert not any(variable.assigned for variable in variables.values())
        for way_back in (cut, cut.inverse()):
            with pytest.raises(MappingError):
                export(way_back, variables)
        (tmp_path / "plan.json").write_text(cut.to_json())
        for to in ("out.npz", "out.safetensors", "out"):
            arguments = ["convert", checkpoint.path, "--model", model.path, "--plan", str(tmp_path / "plan.json")]
            assert main([*arguments, "--to", str(tmp_path / to)]) == 3
            assert "the plan does not fit" in capsys.readouterr().err
            assert not [path for path in os.listdir(str(tmp_path)) if path.startswith("out")]


def test_a_saved_plan_whose_rows_contradict_each_other_is_not_run(make):
    checkpoint = make(w=np.ones((2, 3), "f8"), v=np.ones((2, 3), "f4"))
    variables = {"w": Variable((2, 3)), "v": Variable((2, 3))}
    plan = make_plan(checkpoint, variables, [Rule("w", "w", dtype="float32")])
    (w,), (v,) = ([row for row in plan.rows if row.source == name] for name in "wv")
    for rows, told in [
        ((v, w, w), "w: is not given a value whole and once"),
        ((v, w._replace(dtype=None)), "w is float64, w is float32, and no cast is asked for"),
        ((v, w._replace(transform="transpose")), "w to w by transpose"),
        ((v, w._replace(transform="turn")), "unknown transform 'turn'"),
        ((v._replace(target_shape=(3, 2), transform="transpose"), w), "v: is"),
    ]:
        with pytest.raises(MappingError, match=told):
            load(Plan(rows), checkpoint, variables)


def test_a_saved_plan_is_run_as_it_stands(adam, tmp_path, capsys):
    arguments = ["plan", adam.path, "--model", adam.path, "--plan", str(tmp_path / "plan.json")]
    for more in (["--averages", "raw"], ["--rules", "rules.py"]):
        assert main([*arguments, *more]) == 2
        assert f"so {more[0]} has no say" in capsys.readouterr().err


AVERAGED = {
    "broad": [Rule("gen/(.*)", r"generator/\1")],
    "exact": [Rule("gen/fc/(kernel|bias)", r"generator/fc/\1")],
    "broad, the rest ignored": [Rule("gen/(.*)", r"generator/\1"), Ignore(".*", "the rest")],
    "layer": [Layer("gen/fc", "generator/fc")],
    "none": [],
}


@pytest.mark.parametrize("averages", ["raw", "shadow"])
@pytest.mark.parametrize("rules", sorted(AVERAGED))
def test_the_choice_between_variables_and_averages_holds_whatever_rules_say(make, rules, averages):
    end = "/ExponentialMovingAverage"
    values = {"gen/fc/kernel": np.full((2, 3), 1, "f4"), "gen/fc/bias": np.full(3, 1, "f4")}
    checkpoint = make(**values, **{name + end: value * 7 for name, value in values.items()})
    variables = {"generator/fc/kernel": Variable((2, 3)), "generator/fc/bias": Variable((3,))}
    plan = make_plan(checkpoint, variables, AVERAGED[rules], infer=True, averages=averages)
    load(plan, checkpoint, variables)
    wanted = 7 if averages == "shadow" else 1
    assert all((variable.numpy() == wanted).all() for variable in variables.values())
    assert sorted(row.source for row in plan.rows) == sorted(checkpoint.tensors)


def test_rules_that_name_an_average_itself_decide_about_it(make):
    end = "/ExponentialMovingAverage"
    names = ("a", "b", "c")
    checkpoint = make(**{name + ending: np.zeros(2, "f4") for name in names for ending in ("", end)})
    variables = {name: Variable((2,)) for name in names}
    rules = [Ignore("b" + end, "not this one"), Rule("c" + end, "a"), Rule("a", "c")]
    plan = make_plan(checkpoint, variables, [*rules, Ignore("c", "why")], averages="shadow")
    assert {row.source: row.target for row in plan.loads()} == {"a" + end: "c", "b": "b", "c" + end: "a"}
    reasons = {row.source: row.reason for row in plan.rows if row.action == "ignore"}
    assert reasons == {"a": f"its moving average a{end} is taken instead", "b" + end: "not this one", "c": "why"}


def test_an_average_that_a_rule_leads_nowhere_is_named(make):
    end = "/ExponentialMovingAverage"
    checkpoint = make(**{"gen__w": np.zeros(2, "f4"), "gen__w" + end: np.zeros(2, "f4")})
    with pytest.raises(MappingError, match=f"gen/w{end} goes to generator/w by rule"):
        make_plan(checkpoint, {"ours/w": Variable((2,))}, [Rule("gen/(.*)", r"generator/\1")], averages="shadow")


def test_suggestions_for_averages(make):
    end = "/ExponentialMovingAverage"
    checkpoint = make(**{name + ending: np.zeros(2, "f4") for name in ("one", "other") for ending in ("", end)})
    variables = {"a": Variable((2,)), "b": Variable((2,))}
    with pytest.raises(MappingError) as raised:
        make_plan(checkpoint, variables, infer=True, averages="shadow")
    assert raised.value.suggestions == [Rule("one" + end, "a | b"), Rule("other" + end, "a | b")]
    rules = [rule._replace(target=target) for rule, target in zip(raised.value.suggestions, "ab")]
    plan = make_plan(checkpoint, variables, rules, averages="shadow")
    assert {row.source: row.target for row in plan.loads()} == {"one" + end: "a", "other" + end: "b"}


@pytest.mark.parametrize(
    "rule, told",
    [
        (Layer("rnn", "lstm", layout="lstm:forget_bias=0.0"), "layer of layout lstm:forget_bias=0.0 of the file"),
        (Layer("rnn/basic_lstm_cells", "lstm"), "layer of the file; nearest: rnn/basic_lstm_cell"),
        (Layer("rnn/basic_lstm_cell", "lstm", layout="gru"), "layer of layout gru of the file"),
        (
            Rule("rnn/lstm_cell/bias", "lstm/bias", transform="lstm.bias:forget_bias=0.0"),
            "tensor of the file; nearest: rnn/basic_lstm_cell/bias [20]",
        ),
    ],
)
def test_a_rule_that_matches_nothing_is_named(make, rule, told):
    scope = "rnn/basic_lstm_cell/"
    checkpoint = make(**{scope + "kernel": np.zeros((8, 20), "f4"), scope + "bias": np.zeros(20, "f4")})
    shapes = {"lstm/kernel": (3, 20), "lstm/recurrent_kernel": (5, 20), "lstm/bias": (20,)}
    variables = {name: Variable(shape) for name, shape in shapes.items()}
    with pytest.raises(MappingError) as raised:
        make_plan(checkpoint, variables, [rule], infer=True)
    (problem,) = raised.value.problems
    assert problem.startswith(f"rule {rule.pattern!r} matches no {told}")


def lstm(path="lstm"):
    shapes = {"kernel": (3, 20), "recurrent_kernel": (5, 20), "bias": (20,)}
    return {f"{path}/{leaf}": Variable(shape) for leaf, shape in shapes.items()}


@pytest.mark.parametrize("infer", [True, False])
@pytest.mark.parametrize("leaves", [("kernel", "bias"), ("weights", "biases")])
def test_raw_copy_of_lstm_is_refused(make, leaves, infer):
    kernel, bias = ("rnn/basic_lstm_cell/" + leaf for leaf in leaves)
    checkpoint = make(**{kernel: np.zeros((8, 20), "f4"), bias: np.zeros(20, "f4")})
    with pytest.raises(MappingError, match='say transform="identity"') as raised:
        make_plan(checkpoint, lstm(), [Rule(bias, "lstm/bias")], infer=infer)
    suggested = re.search(r"^Layer\(.*\)$", "\n".join(raised.value.problems), re.MULTILINE).group()
    plan = make_plan(checkpoint, lstm(), [eval(suggested)], infer=infer)
    assert {row.transform for row in plan.loads() if row.source == bias} == {"lstm.bias:forget_bias=1.0"}


def test_raw_copy_beside_converted_kernels_is_refused(make):
    """Nothing in the names says that it is an LSTM of TF 1, but two rules do."""
    checkpoint = make(net__cell__kernel=np.zeros((8, 20), "f4"), net__cell__bias=np.zeros(20, "f4"))
    rules = [
        Rule("net/cell/kernel", "lstm/kernel", "lstm.kernel"),
        Rule("net/cell/kernel", "lstm/recurrent_kernel", "lstm.recurrent_kernel"),
    ]
    bias = Rule("net/cell/bias", "lstm/bias")
    with pytest.raises(MappingError, match=r"forget_bias=0\.0 or lstm.bias:forget_bias=1.0, or say") as raised:
        make_plan(checkpoint, lstm(), [*rules, bias])
    # The file does not say which of the two cells it is.
    assert not raised.value.suggestions
    for transform in ("lstm.bias:forget_bias=1.0", "identity"):
        assert len(make_plan(checkpoint, lstm(), [*rules, bias._replace(transform=transform)]).loads()) == 3


def test_explicit_identity_copies(make):
    cell = "rnn/basic_lstm_cell/"
    checkpoint = make(**{cell + "kernel": np.zeros((8, 20), "f4"), cell + "bias": np.zeros(20, "f4")})
    rules = [
        Rule(cell + "kernel", "lstm/kernel", transform="lstm.kernel"),
        Rule(cell + "kernel", "lstm/recurrent_kernel", transform="lstm.recurrent_kernel"),
        Rule(cell + "bias", "lstm/bias", transform="identity"),
    ]
    assert len(make_plan(checkpoint, lstm(), rules).loads()) == 3


def test_raw_copy_to_the_same_layout(make):
    """A file of TF 1 under other names, and a layer of Keras that is called as TF 1's cell is."""
    cell = "rnn/basic_lstm_cell/"
    checkpoint = make(**{cell + "kernel": np.zeros((8, 20), "f4"), cell + "bias": np.zeros(20, "f4")})
    other = {"net/lstm_cell/kernel": Variable((8, 20)), "net/lstm_cell/bias": Variable((20,))}
    assert len(make_plan(checkpoint, other, [Rule(cell + "(.*)", r"net/lstm_cell/\1")]).loads()) == 2
    shapes = {"kernel": (3, 20), "recurrent_kernel": (5, 20), "bias": (20,)}
    keras = make(**{f"lstm/lstm_cell_1/{leaf}": np.zeros(shape, "f4") for leaf, shape in shapes.items()})
    assert len(make_plan(keras, lstm(), [Rule("lstm/lstm_cell_1/(.*)", r"lstm/\1")]).loads()) == 3


def headed():
    return {**model(), "head/kernel": Variable((3, 2)), "head/bias": Variable((2,))}


def test_kept_variables_are_not_assigned(adam):
    variables = headed()
    plan = make_plan(adam, variables, [Keep("head/.*", "new"), *RULES])
    assert Plan.from_json(plan.to_json()) == plan
    load(plan, adam, variables)
    assert [variable.assigned for variable in variables.values()] == [1, 1, 0, 0]
    assert (
        sorted(export(plan, variables))
        == sorted(export(plan.inverse(), variables))
        == sorted(name for name in expected("adam") if name.endswith(("kernel", "bias")))
    )
    table = plan.table()
    assert re.search(r"\(none\) +3x2 +float32 +== +head/kernel +new\n", table)
    assert table.endswith("2 loaded, 7 left, 2 of the model kept")


def test_kept_variables_take_no_tensor_of_their_name(make):
    checkpoint = make(head__kernel=np.ones((3, 2), "f4"), head__bias=np.ones(2, "f4"))
    variables = {"head/kernel": Variable((3, 2)), "head/bias": Variable((2,))}
    for infer in (True, False):
        with pytest.raises(MappingError, match=r"head/bias .* has no place in the model"):
            make_plan(checkpoint, variables, [Keep("head/.*")], infer=infer)
    plan = make_plan(checkpoint, variables, [Keep("head/.*"), Ignore("head/.*", "another head")])
    assert not plan.assigned()


def test_keep_and_rule_for_one_variable(adam):
    with pytest.raises(MappingError, match=r"gen/fc1/bias by rule .* is to keep its value: frozen"):
        make_plan(adam, model(), [*RULES, Keep("gen/fc1/bias", "frozen")])


def test_keep_that_matches_nothing_is_named(adam):
    with pytest.raises(
        MappingError, match=r"'head/k' matches no variable of the model; nearest: head/bias \[2\], head/"
    ):
        make_plan(adam, headed(), [*RULES, Keep("head/k"), Keep("head/.*")])


def test_inference_is_the_default(make):
    checkpoint = make(net__fc__kernel=np.zeros((2, 3), "f4"))
    assert make_plan(checkpoint, {"fc/kernel": Variable((2, 3))}).rows[0].target == "fc/kernel"


def test_rules_that_others_forestall_and_ignored_names_that_are_not_there_are_no_problem(make):
    checkpoint = make(a__w=np.zeros(2, "f4"))
    rules = [Rule("a/w", "x/w"), Rule("a/.*", "x/w"), Ignore("ema/.*", "not needed")]
    assert len(make_plan(checkpoint, {"x/w": Variable((2,))}, rules).rows) == 1


def test_what_the_model_asks_for_by_name_and_shape_is_no_slot_and_no_counter(make):
    checkpoint = make(att=np.zeros(8, "f4"), att__v=np.zeros(8, "f4"), att__Adam=np.zeros(8, "f4"), c__step=np.int64(3))
    variables = {"att": Variable((8,)), "att/v": Variable((8,)), "c/step": Variable((), "int64")}
    plan = make_plan(checkpoint, variables)
    assert {row.source: row.target for row in plan.loads()} == {name: name for name in variables}
    assert [row.reason for row in plan.rows if row.action == "ignore"] == ["slot m of att (Adam)"]


def test_suggestions_of_two_kinds():
    """They are tuples, which are equal where their words are."""
    from checkpoints.problems import Problems

    problems = Problems("file", {}, {})
    suggested = [Ignore("a", "why it stays"), Keep("a", "why it stays")]
    for rule in [*suggested, *suggested]:
        problems.add("a problem", rule)
    assert list(map(repr, problems.suggestions)) == list(map(repr, suggested))


def test_backslashes_in_names(make):
    """A target is a template, in which a backslash that is meant is doubled."""
    name = r"a\1\g<2>"
    checkpoint = make(one=np.zeros(3, "f4"), two=np.zeros(4, "f4"))
    with pytest.raises(MappingError) as raised:
        make_plan(checkpoint, {name: Variable((3,)), "two": Variable((4,))}, infer=False)
    rule = next(rule for rule in raised.value.suggestions if isinstance(rule, Rule))
    plan = make_plan(checkpoint, {name: Variable((3,)), "two": Variable((4,))}, [rule], infer=False)
    assert [row.target for row in plan.loads()] == [name, "two"]


def test_tensors_with_the_same_name_to_go_by(make):
    checkpoint = make(**{"w": np.zeros(3, "f4"), "w/.ATTRIBUTES/VARIABLE_VALUE": np.ones(3, "f4")})
    rules = [Rule("w", "w"), Ignore("w/.+", "the same")]
    assert [row.source for row in make_plan(checkpoint, {"w": Variable((3,))}, rules).loads()] == ["w"]
