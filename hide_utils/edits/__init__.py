"""What analyses do to pictures, boxes and entities before the model sees them.

Read `placement` first (random places for boxes), then what is made of true boxes: `interventions` (edited pictures),
`layouts` (other second pictures), and `corruption` and `entity_corruption` (boxes and entities made worse).
"""
