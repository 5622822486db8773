import time
from tests.training.test_learner import *
from training import learner as L
def test_p(settings):
    t0=time.time(); publish(settings, range(100,110)); print("publish",time.time()-t0)
    orig=L.Learner._take
    t=time.time()
    def take(self,*a):
        s=time.time(); orig(self,*a); print("take at",round(s-t,2),round(time.time()-s,3))
    L.Learner._take=take
    oc=L.ModelsFollower.close
    def close(self):
        s=time.time(); oc(self); print("follower close", time.time()-s)
    L.ModelsFollower.close=close
    with running(settings) as l:
        wait_for(lambda: l.model.rows==population(range(100,110)))
        print("learnt", time.time()-t)
        s=time.time()
    print("stopped", time.time()-s)
