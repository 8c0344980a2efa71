def main(argv):
    from fedwright_crds.box import Box
    box = Box.here()
    print("hello", argv)
    box.output("result").write_text("42")
    return 0
