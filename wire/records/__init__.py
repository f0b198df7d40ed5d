"""Record batches: what Produce carries in, the log stores and Fetch carries out.

``batch`` looks at headers and patches them in place, without copying; ``record`` reads and builds
the records inside; ``compression`` holds the codecs; ``legacy`` the message formats before 0.11
and conversion to and from them; ``validate`` what a broker asks of produced batches.
"""
