from doxa.server.metrics import Metrics


def test_the_text_is_what_prometheus_reads() -> None:
    metrics = Metrics(waiting=2, writing=3)
    metrics.requests['a"b\\c\nd', 200] += 4
    metrics.tokens["block"] += 7
    lines = metrics.text().splitlines()
    assert 'doxa_requests_total{arm="a\\"b\\\\c\\nd",status="200"} 4' in lines
    assert 'doxa_tokens_total{arm="block"} 7' in lines
    assert {"doxa_queue_length 2", "doxa_writing 3", "doxa_in_flight 5", "doxa_transcripts_lost_total 0"} <= {*lines}
    names = {line.split("{")[0].split(" ")[0] for line in lines if not line.startswith("#")}
    assert names == {line.split(" ")[2] for line in lines if line.startswith("# TYPE")}
