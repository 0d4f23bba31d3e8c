"""The one list of cases, in neutral words: what is asked of tda, what the vendor says, what must have arrived at the far end.

A case is a function of a Bench; it fails by AssertionError and may raise NotApplicable with the reason. Its docstring is its title in
the matrix. `own` and `types` come last: they look at what the cases before them recorded."""
import answers
import faults

LAST = ("own", "types")


def cases_of(*modules):
    found = [f for module in modules for f in vars(module).values() if getattr(f, "is_case", False)]
    return sorted(found, key=lambda f: f.__name__ in LAST)


CASES = cases_of(answers, faults)
