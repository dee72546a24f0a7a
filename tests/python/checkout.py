"""A checkout in a few lines: set aside, pay, claim. docs/calling.md shows it; life_of_a_hold.py runs it."""


# docs/calling.md: begin
def buy(holds, pb, hold_id, order_ref, wanted, pay):
    """Buys what is `wanted`, a ReserveRequest under `hold_id`. Gives the hold, sold or given back, or a refusal."""
    answer = holds.Reserve(wanted, timeout=5)
    if answer.WhichOneof("outcome") == "refusal":
        return answer.refusal  # tell the shopper why, and when it is worth coming again
    to_the_till = pb.ExtendRequest(hold_id=hold_id, stage=pb.HOLD_STAGE_PAYING)
    answer = holds.Extend(to_the_till, timeout=5)
    if answer.WhichOneof("outcome") == "refusal":
        return answer.refusal  # too late: nothing was paid yet
    if not pay():
        return holds.Release(pb.ReleaseRequest(hold_id=hold_id, abandon_payment=True), timeout=5).hold
    # The money is here: claim also from what is free, should the deadline have passed meanwhile.
    late = pb.EXPIRED_POLICY_TAKE_FREE_STOCK
    answer = holds.Claim(pb.ClaimRequest(hold_id=hold_id, order_ref=order_ref, expired_policy=late), timeout=30)
    return answer.hold if answer.WhichOneof("outcome") == "hold" else answer.refusal  # a refusal: pay it back
# docs/calling.md: end
