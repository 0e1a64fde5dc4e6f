package io.fission;

/** What {@link Function#call} has as its second argument. As with Fission's own environment it is null. */
public interface Context {
}
