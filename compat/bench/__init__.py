"""The same loads against several brokers in one run: what each costs, as ratios.

Any broker will do: a target is an address, and the process behind it where its processor time and
memory are to be measured. Timings are for people and never decide a test.
"""
